"""Each pair is judged in both orders, so a judge that prefers a position finds only ties."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.judging.cases import Case
from lockstep.judging.judge_metrics import compute_judge_metrics
from lockstep.judging.judge_prompts import Prompt
from lockstep.judging.judgements import Judgement, judge_cases, read_judgements, write_judgements
from lockstep.judging.rubric import read_rubric
from lockstep.records import Record
from tests.judging.judge_settings import make_params

RUBRIC = read_rubric(Path(__file__).parents[2] / "data/rubric.yaml", ["fluency"])


def make_case(question: str, base: str, merged: str) -> Case:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "yes"}]
    record = Record(messages=turns, task="reply", source="a", origin="a:1")
    return Case(record, {"base": base, "merged": merged})


CASES = [
    make_case("When?", "soon", "within three days"),
    make_case("Where?", "there, in the shop", "here"),
    make_case("Who?", "we", "we"),
]


def read_shown_answers(prompt: Prompt) -> list[str]:
    lines = [line for line in prompt.user.splitlines() if line.startswith("answer")]
    return [json.loads(line.partition(": ")[2]) for line in lines]


def judge_with(
    verdict: Callable[[list[str]], object],
) -> tuple[list[Prompt], list[Judgement]]:
    """Judge all cases by a function of the shown answers; return prompts and judgements."""
    sent: list[Prompt] = []

    def ask(prompts: list[Prompt]) -> list[str]:
        sent.extend(prompts)
        return [json.dumps({"fluency": verdict(read_shown_answers(prompt))}) for prompt in prompts]

    return sent, judge_cases(CASES, RUBRIC, make_params(), ask)


def compute_rates(judgements: list[Judgement]) -> dict[str, float]:
    """Return the win, tie and loss rates and the agreement on fluency."""
    metrics = compute_judge_metrics(judgements, make_params())
    fluency = metrics["reply"]["compared"]["merged_against_base"]["dimensions"]["fluency"]
    return {name: fluency[name] for name in ("win", "tie", "loss", "agreement")}


def test_a_judge_that_prefers_a_position_finds_only_ties() -> None:
    for position in ("A", "B"):
        _, judgements = judge_with(lambda answers, position=position: position)
        assert compute_rates(judgements) == {"win": 0.0, "tie": 1.0, "loss": 0.0, "agreement": 0.0}


def test_a_judge_that_compares_the_answers_finds_wins_and_losses() -> None:
    _, judgements = judge_with(lambda answers: "A" if len(answers[0]) > len(answers[1]) else "B")
    third = round(1 / 3, 4)
    assert compute_rates(judgements) == {
        "win": third,
        "tie": third,
        "loss": third,
        "agreement": 1.0,
    }
    assert [(judgement.shown, judgement.verdicts) for judgement in judgements] == [
        (["merged", "base"], {"fluency": "merged"}),
        (["base", "merged"], {"fluency": "merged"}),
        (["merged", "base"], {"fluency": "base"}),
        (["base", "merged"], {"fluency": "base"}),
        (["merged", "base"], {"fluency": "tie"}),
    ]


def test_both_orders_are_judged_and_equal_answers_are_a_tie_without_a_prompt() -> None:
    sent, judgements = judge_with(lambda answers: "tie")
    assert [read_shown_answers(prompt) for prompt in sent] == [
        ["within three days", "soon"],
        ["soon", "within three days"],
        ["here", "there, in the shop"],
        ["there, in the shop", "here"],
    ]
    assert judgements[-1].reply is None


def test_equal_prompts_are_sent_once() -> None:
    sent: list[Prompt] = []

    def ask(prompts: list[Prompt]) -> list[str]:
        sent.extend(prompts)
        return [json.dumps({"fluency": len(read_shown_answers(prompt)[0])}) for prompt in prompts]

    settings = make_params(compare=[], score=["base", "merged"])
    judgements = judge_cases([CASES[2]], RUBRIC, settings, ask)
    assert len(sent) == 1
    assert [(judgement.shown, judgement.verdicts) for judgement in judgements] == [
        (["base"], {"fluency": 2}),
        (["merged"], {"fluency": 2}),
    ]


def test_the_reference_is_shown_unless_it_is_switched_off() -> None:
    for shown in (True, False):
        sent: list[Prompt] = []

        def ask(prompts: list[Prompt], sent: list[Prompt] = sent) -> list[str]:
            sent.extend(prompts)
            return ["" for _ in prompts]

        judge_cases(CASES, RUBRIC, make_params(reference=shown), ask)
        assert sent and all(('reference: "yes"' in prompt.user) == shown for prompt in sent)


def test_an_unreadable_reply_is_kept_verbatim() -> None:
    judgements = judge_cases(CASES[:1], RUBRIC, make_params(), lambda prompts: ["A!", "B!"])
    assert [(judgement.reply, judgement.verdicts) for judgement in judgements] == [
        ("A!", None),
        ("B!", None),
    ]


def test_judgements_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "judgements.jsonl"
    _, judgements = judge_with(lambda answers: "A")
    write_judgements(file, judgements)
    assert read_judgements(file) == judgements
    file.write_text(file.read_text() + '{"id": "1"}\n')
    with pytest.raises(UserError, match=r"judgements\.jsonl: a line is not a judgement; run"):
        read_judgements(file)
    file.unlink()
    with pytest.raises(UserError, match=r"judgements\.jsonl: not found; run `dvc repro`"):
        read_judgements(file)
