"""Each signal finds its fault and none finds a fault in a good answer."""

import pytest

from lockstep.data.quality import SIGNALS, QualityParams, compute_score, find_faults
from tests.data.examples import make_record

PARAMS = QualityParams(max_repetition=0.7, length_ratio=[0.1, 50.0], min_score=0.0)
PROSE = (
    "The parcel left our warehouse on Monday, and the carrier brings it within three working "
    "days. You find the number of the shipment in the message that we sent you, and with it "
    "you can follow every step on the page of the carrier until it reaches your door."
)


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Where is my parcel?", PROSE, []),
        ("Where is my parcel?", "track_order", []),
        (
            "包裹在哪里？",
            "您好，包裹周一已经出库，预计三个工作日内送达，请留意短信里的物流单号。",
            [],
        ),
        ("Where is it?", "It is on its way. " * 12, ["repetitive"]),
        ("Why? " * 1000, PROSE, ["length_ratio"]),
        ("我的包裹在哪里？", PROSE, ["other_language"]),
        ("Say it.", "Say it.", ["copies_question"]),
        ("Where is my parcel?", PROSE.removesuffix(" door."), ["truncated"]),
        ("Show the code.", "```python\nprint(1)", ["truncated"]),
        ("Who are you?", "I am {{name}}.", ["damaged"]),
        ("Who are you?", "I am caf\ufffd.", ["damaged"]),
        ("A red tent", '{"color": "red", "size": ""}', ["incomplete"]),
        ("A red tent", '{"color": "blue"}', ["inconsistent"]),
        ("A red tent", '{"color": "red"}', []),
    ],
)
def test_faults_are_found(question: str, answer: str, expected: list[str]) -> None:
    assert find_faults(make_record(question, answer), PARAMS) == expected


def test_the_score_is_the_share_of_clean_signals() -> None:
    assert compute_score([]) == 1.0
    assert compute_score(["truncated", "damaged"]) == pytest.approx(1 - 2 / len(SIGNALS))
