"""Both orders are asked, and a judge that looks at the place alone finds only ties."""

import json
from collections.abc import Callable
from pathlib import Path

from lockstep.judging import judge_metrics, judgements, rubric
from lockstep.judging.cases import Case
from lockstep.judging.judge_prompts import Prompt
from lockstep.records import Record
from tests.judging.settings import settings

RUBRIC = rubric.read(Path(__file__).parents[2] / "data/rubric.yaml", ["fluency"])


def case(question: str, base: str, merged: str) -> Case:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "yes"}]
    record = Record(messages=turns, task="reply", source="a", origin="a:1")
    return Case(record, {"base": base, "merged": merged})


CASES = [
    case("When?", "soon", "within three days"),
    case("Where?", "there, in the shop", "here"),
    case("Who?", "we", "we"),
]


def answers(prompt: Prompt) -> list[str]:
    lines = [line for line in prompt.user.splitlines() if line.startswith("answer")]
    return [json.loads(line.partition(": ")[2]) for line in lines]


def judged_by(verdict: Callable[[list[str]], object]) -> tuple[list[Prompt], list[object]]:
    """What a judge was asked whose verdict on the answers shown is this, and the judgements."""
    asked: list[Prompt] = []

    def ask(prompts: list[Prompt]) -> list[str]:
        asked.extend(prompts)
        return [json.dumps({"fluency": verdict(answers(prompt))}) for prompt in prompts]

    return asked, judgements.judge(CASES, RUBRIC, settings(), ask)


def pair(found: list) -> dict:
    return judge_metrics.of(found, settings())["reply"]["compared"]["merged_against_base"][
        "dimensions"
    ]


def shares(found: list) -> dict[str, float]:
    """Of the one dimension, without what is inferred from them."""
    own = pair(found)["fluency"]
    return {name: own[name] for name in ("win", "tie", "loss", "agreement")}


def test_a_judge_that_prefers_a_place_finds_ties_alone() -> None:
    for place in ("A", "B"):
        _, found = judged_by(lambda shown, place=place: place)
        assert shares(found) == {"win": 0.0, "tie": 1.0, "loss": 0.0, "agreement": 0.0}


def test_a_judge_that_looks_at_the_answers_is_heard() -> None:
    _, found = judged_by(lambda shown: "A" if len(shown[0]) > len(shown[1]) else "B")
    third = round(1 / 3, 4)
    assert shares(found) == {"win": third, "tie": third, "loss": third, "agreement": 1.0}
    verdicts = [(row.shown, row.verdicts) for row in found]
    assert verdicts == [
        (["merged", "base"], {"fluency": "merged"}),
        (["base", "merged"], {"fluency": "merged"}),
        (["merged", "base"], {"fluency": "base"}),
        (["base", "merged"], {"fluency": "base"}),
        (["merged", "base"], {"fluency": "tie"}),
    ]


def test_both_orders_are_asked_and_equal_answers_are_not() -> None:
    asked, found = judged_by(lambda shown: "tie")
    assert [answers(prompt) for prompt in asked] == [
        ["within three days", "soon"],
        ["soon", "within three days"],
        ["here", "there, in the shop"],
        ["there, in the shop", "here"],
    ]
    assert found[-1].reply is None


def test_equal_prompts_are_asked_once() -> None:
    asked: list[Prompt] = []

    def ask(prompts: list[Prompt]) -> list[str]:
        asked.extend(prompts)
        return [json.dumps({"fluency": len(answers(prompt)[0])}) for prompt in prompts]

    alone = settings(compare=[], score=["base", "merged"])
    found = judgements.judge([CASES[2]], RUBRIC, alone, ask)
    assert len(asked) == 1
    assert [(row.shown, row.verdicts) for row in found] == [
        (["base"], {"fluency": 2}),
        (["merged"], {"fluency": 2}),
    ]


def test_a_reply_that_is_no_verdict_is_kept_word_for_word() -> None:
    found = judgements.judge(CASES[:1], RUBRIC, settings(), lambda prompts: ["A!", "B!"])
    assert [(row.reply, row.verdicts) for row in found] == [("A!", None), ("B!", None)]
