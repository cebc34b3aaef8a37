from stages.pages.comparison import is_right, overlap
from stages.pages.examples import choose
from stages.pages.results import Prediction


def row(number: int, base: str, merged: str, quantized: str, expected: str = "yes") -> Prediction:
    return Prediction(
        id=f"{number:02}",
        task="t",
        slices={},
        question="?",
        expected=expected,
        got={"base": base, "merged": merged, "quantized": quantized},
    )


ROWS = [
    *(row(number, "no", "yes", "yes") for number in range(10)),
    row(10, "yes", "yes", "yes"),
    row(11, "yes", "no", "no"),
    row(12, "no", "yes", "no"),
    row(13, "no", "no", "no"),
]


def test_every_outcome_is_shown_the_gravest_first() -> None:
    chosen = [(outcome.title, record.id) for outcome, record in choose(ROWS, 5, is_right)]
    assert chosen == [
        ("broken by tuning", "11"),
        ("broken by quantization", "12"),
        ("still wrong", "13"),
        ("fixed by tuning", "00"),
        ("fixed by tuning", "01"),
    ]


def test_the_order_of_the_records_does_not_matter() -> None:
    assert choose(ROWS[::-1], 7, is_right) == choose(ROWS, 7, is_right)


def test_no_more_than_asked_for() -> None:
    assert choose(ROWS, 0, is_right) == []
    assert len(choose(ROWS, 99, is_right)) == 13  # right from the start is no example


def test_free_text_is_closer_or_further_off() -> None:
    text = "Order 17 is on its way."
    rows = [
        row(1, "nothing", "Order 18 is on its way.", "Order 18 is on its way.", text),
        row(2, "Order 18 is on its way.", "nothing", "nothing", text),
        row(3, "nothing", "nobody", "nobody", text),
        row(4, text, text, "nothing", text),
        row(5, text, text, text, text),
    ]
    assert [(outcome.title, record.id) for outcome, record in choose(rows, 9, overlap)] == [
        ("further off", "02"),
        ("further off once quantized", "04"),
        ("no closer", "03"),
        ("closer after tuning", "01"),
    ]
