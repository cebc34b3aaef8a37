"""A reply is parsed strictly or counts as unreadable."""

import pytest

from lockstep.judging import judge_replies

DIMENSIONS = ["fluency", "safety"]


@pytest.mark.parametrize(
    "reply",
    [
        '{"fluency": "A", "safety": "tie"}',
        ' {"reason": "A is shorter: {\\"fluency\\": \\"B\\"}", "safety": "tie", "fluency": "A"}\n',
        '```json\n{"fluency": "A", "safety": "tie"}\n```',
        '```\n{"fluency": "A",\n "safety": "tie"}\n```\n',
    ],
)
def test_an_object_with_each_dimension_is_parsed(reply: str) -> None:
    assert judge_replies.parse_verdicts(reply, DIMENSIONS, judge_replies.SIDES) == {
        "fluency": "A",
        "safety": "tie",
    }


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "A",
        "Answer A is better.",
        'Here it is: {"fluency": "A", "safety": "A"}',
        '{"fluency": "A", "safety": "A"} {"fluency": "B", "safety": "B"}',
        '{"fluency": "A", "fluency": "B", "safety": "A"}',
        '{"fluency": "A"}',
        '{"fluency": "A", "safety": "A", "length": "A"}',
        '{"fluency": "a", "safety": "A"}',
        '{"fluency": "answer_a", "safety": "A"}',
        '{"fluency": ["A"], "safety": "A"}',
        '{"fluency": null, "safety": "A"}',
        '[{"fluency": "A", "safety": "A"}]',
        '{"fluency": "A", "safety": "A"',
        "[" * 5000,
    ],
)
def test_any_other_reply_is_unreadable(reply: str) -> None:
    assert judge_replies.parse_verdicts(reply, DIMENSIONS, judge_replies.SIDES) is None


def test_a_score_is_a_whole_number_from_1_to_5() -> None:
    assert judge_replies.parse_verdicts(
        '{"fluency": 5, "safety": 1}', DIMENSIONS, judge_replies.SCALE
    ) == {
        "fluency": 5,
        "safety": 1,
    }
    for invalid in ("0", "6", "4.0", "3.5", '"4"', "true", "NaN", "[4]", "-1", "1e0"):
        reply = f'{{"fluency": 5, "safety": {invalid}}}'
        assert judge_replies.parse_verdicts(reply, DIMENSIONS, judge_replies.SCALE) is None, invalid
