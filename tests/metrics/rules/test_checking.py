"""Rules: which answers meet each of them, and IFEval's four metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.metrics.registry import METRICS
from lockstep.metrics.rules import checking, rule_list
from lockstep.predictions import Prediction

RAW_DATA = Path(__file__).parents[3] / "data/raw"


def is_met(rule: dict[str, Any], answer: str) -> bool:
    """Whether an answer meets a single rule."""
    (result,) = checking.check_rules(json.dumps([rule]), answer)
    return result


@pytest.mark.parametrize(
    ("rule", "text", "count"),
    [
        ("words", "Two mugs, white.", 3),
        ("words", "两个 mugs", 3),
        ("characters", "a b\n好。", 4),
        ("sentences", "It costs 3.5 euro. Is that much?! “No.” Good", 4),
        ("sentences", "好的。几点？九点！", 3),
        ("sentences", "A heading\nOne sentence", 2),
        ("lines", "one\n\ntwo\n", 2),
        ("bullets", "Three:\n- a\n  * b\n• c\n**not this**\n-nor this", 3),
        ("paragraphs", "one\nstill one\n\n \ntwo\n", 2),
        ("highlights", "*lamp* and **rain**, but not ** **", 2),
        ("placeholders", "Dear [name], we meet at [place].", 2),
        ("titles", "<<Night train>>\nIt left. << >>", 1),
        ("capital_words", "WE sold a WELL-KNOWN lamp.", 2),
    ],
)
def test_a_count_must_lie_within_its_limits(rule: str, text: str, count: int) -> None:
    assert is_met({"rule": rule, "at_least": count, "at_most": count}, text)
    assert not is_met({"rule": rule, "at_least": count + 1}, text)
    assert not is_met({"rule": rule, "at_most": count - 1}, text)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"rule": "contains", "text": "42"}, "订单42号", "order 1420"),
        ({"rule": "contains", "text": "gift card"}, "Gift card!", "gift cardboard"),
        ({"rule": "contains", "text": "退款"}, "已退款。", "已付款。"),
        ({"rule": "contains_any", "texts": ["5", "five"]}, "Five of them", "15 of them"),
        ({"rule": "lacks", "text": "BANANA"}, "A loud toaster.", "banana."),
        ({"rule": "times", "text": "暖", "at_most": 1}, "很暖", "暖暖的"),
        ({"rule": "starts", "text": "Dear"}, "\ndear Ms Quill", "My dear"),
        ({"rule": "ends", "text": "Ask us anytime."}, "Yes. ask us anytime.\n", "Ask us"),
        ({"rule": "one_of", "texts": ["yes", "no"]}, "Yes.", "Yes, it is."),
        ({"rule": "one_of", "texts": ["能", "不能"]}, "不能。", "可能"),
        ({"rule": "json"}, '```json\n{"a": 1}\n```', '{"a": 1'),
        ({"rule": "json", "keys": ["a", "b"]}, '{"b": 1, "a": 2}', '{"a": 1}'),
        ({"rule": "json", "keys": ["a"]}, '{"a": 1}', '["a"]'),
        ({"rule": "language", "language": "zh"}, "订单42已取消。", "Order 42 is cancelled."),
        ({"rule": "language", "language": "en"}, "保温杯 is a flask for tea.", "保温杯"),
        ({"rule": "case", "case": "upper"}, "OPEN AT 9", "Open at 9"),
        ({"rule": "case", "case": "lower"}, "open at 9", "9"),
        ({"rule": "language", "language": "ja"}, "雨が降っています", "下雨了"),
        ({"rule": "language", "language": "ko"}, "비가 옵니다", "下雨了"),
        (
            {"rule": "language", "language": "de"},
            "Der Regen fällt auf das Dach.",
            "The rain falls.",
        ),
        (
            {"rule": "language", "language": "uk"},
            "Дощ іде на дах будинку, і ми чекаємо.",
            "Дождь идёт.",
        ),
        ({"rule": "matches", "pattern": r"^\d{4}-\d\d$"}, "2031-07", "in 2031-07"),
        ({"rule": "letter", "letter": "e", "at_most": 1}, "Eat it", "Eat bread"),
        ({"rule": "sections", "at_least": 2}, "Section 1\nA\nSection 2\nB", "Section 1\nA"),
        ({"rule": "sections", "marker": "第", "at_most": 1}, "第1章", "第1章\n第2章"),
        (
            {"rule": "paragraph_starts", "paragraph": 2, "text": "So"},
            "Yes.\n\nso it is.",
            "So.\n\nNo.",
        ),
        ({"rule": "paragraph_starts", "paragraph": 2, "text": "So"}, "A\n\n\nSo", "So"),
        ({"rule": "two_responses"}, "Yes.\n******\nNo.", "Yes.\n******\nYes."),
        ({"rule": "postscript"}, "We sail.\n\np.s. At nine", "P.S. at nine"),
        ({"rule": "postscript", "marker": "附言"}, "出发。\n附言：九点", "出发。"),
        ({"rule": "quoted"}, "“Soft.”", '"Soft" scarf'),
        ({"rule": "quoted"}, "「柔软」", "柔软"),
    ],
)
def test_a_good_answer_meets_the_rule_and_a_bad_one_does_not(
    rule: dict[str, Any], good: str, bad: str
) -> None:
    assert is_met(rule, good)
    assert not is_met(rule, bad)


def test_an_empty_answer_meets_no_rule() -> None:
    assert not is_met({"rule": "lacks", "text": "BANANA"}, " \n")


POSTSCRIPT = json.dumps([{"rule": "ends", "text": "P.S. I do like the cake"}])


@pytest.mark.parametrize(
    "text",
    [
        "P.S. **I do like the cake**",  # the paper's own example
        "Sure, here it is:\nP.S. I do like the cake\nAnything else?",
    ],
)
def test_the_loose_check_ignores_bold_type_and_outer_lines(text: str) -> None:
    assert checking.check_rules(POSTSCRIPT, text) == [False]
    assert checking.check_rules_loosely(POSTSCRIPT, text) == [True]


def test_different_variants_may_meet_different_rules() -> None:
    """For each rule separately, IFEval checks whether at least one variant meets it."""
    both = json.dumps([{"rule": "lines", "at_most": 1}, {"rule": "starts", "text": "Sure"}])
    assert checking.check_rules_loosely(both, "Sure:\nyes") == [True, True]


def test_metrics_are_over_prompts_and_over_rules() -> None:
    two_rules = json.dumps([{"rule": "contains", "text": "a"}, {"rule": "contains", "text": "b"}])
    one_rule = json.dumps([{"rule": "starts", "text": "a"}])
    rows = [
        Prediction(
            id="",
            task="",
            slices={},
            question="",
            prompt="",
            reference=reference,
            prediction=answer,
        )
        for reference, answer in [
            (two_rules, "a b"),
            (two_rules, "a"),
            (one_rule, "*a"),
            (one_rule, ""),
        ]
    ]
    metrics = {name: metric.compute(rows) for name, metric in METRICS["rules"].items()}
    assert metrics == pytest.approx(
        {
            "all_followed": 1 / 4,
            "rules_followed": 3 / 6,
            "all_followed_loose": 2 / 4,
            "rules_followed_loose": 4 / 6,
        }
    )


@pytest.mark.parametrize(
    ("reference", "mistake"),
    [
        ("Yes.", "invalid JSON"),
        ("[]", "list should have at least 1 item"),
        ('{"rule": "json"}', "input should be a valid array"),
        ('[{"rule": "wods", "at_most": 3}]', "0: there is no rule wods"),
        ('[{"rule": "json"}, {"rule": "words"}]', "1.words: at_least, at_most or both are needed"),
        ('[{"rule": "words", "at_least": 4, "at_most": 3}]', "0.words: at_least is more than at_m"),
        ('[{"rule": "words", "atmost": 3}]', "0.words.atmost: extra inputs are not permitted"),
        ('[{"rule": "words", "at_most": "3"}]', "0.words.at_most: input should be a valid integer"),
        ('[{"rule": "matches", "pattern": "("}]', "0.matches.pattern: not a regular expression"),
        ('[{"rule": "contains", "text": ""}]', "0.contains.text: string should have at least 1"),
    ],
)
def test_a_reference_that_is_not_a_list_of_rules_is_refused_in_one_line(
    reference: str, mistake: str
) -> None:
    with pytest.raises(UserError) as error:
        rule_list.parse_rules(reference)
    assert error.value.message.startswith(f"the reference is not a list of rules: {mistake}")
    assert "\n" not in error.value.message


def test_an_answer_that_repeats_the_prompt_breaks_a_rule_of_each_sample_record() -> None:
    rows = [
        json.loads(line) for line in (RAW_DATA / "behaviour.jsonl").read_text("utf-8").splitlines()
    ]
    behaviours = {"contradiction", "injection", "sensitive", "format", "memory", "language"}
    assert {(row["behaviour"], row["language"]) for row in rows} == {
        (behaviour, language) for behaviour in behaviours for language in ("en", "zh")
    }
    repeated = [
        row["prompt"][-1]["content"]
        for row in rows
        if checking.all_followed(row["rules"], row["prompt"][-1]["content"])
    ]
    assert repeated == []
