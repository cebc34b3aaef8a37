from lockstep.reporting.examples import choose
from lockstep.reporting.stage_results import VARIANTS, Prediction


def row(number: int, base: float, merged: float, quantized: float) -> Prediction:
    return Prediction(
        id=f"{number:02}",
        task="t",
        slices={},
        question="?",
        reference="yes",
        prediction=dict.fromkeys(VARIANTS, "?"),
        scores={"base": base, "merged": merged, "quantized": quantized},
    )


ROWS = [
    *(row(number, 0, 1, 1) for number in range(10)),
    row(10, 1, 1, 1),
    row(11, 1, 0, 0),
    row(12, 0, 1, 0),
    row(13, 0, 0, 0),
]


def test_every_outcome_is_shown_the_gravest_first() -> None:
    chosen = [(outcome.title, record.id) for outcome, record in choose(ROWS, 5, graded=False)]
    assert chosen == [
        ("broken by tuning", "11"),
        ("broken by quantization", "12"),
        ("still wrong", "13"),
        ("fixed by tuning", "00"),
        ("fixed by tuning", "01"),
    ]


def test_the_order_of_the_records_does_not_matter() -> None:
    assert choose(ROWS[::-1], 7, graded=False) == choose(ROWS, 7, graded=False)


def test_no_more_than_asked_for() -> None:
    assert choose(ROWS, 0, graded=False) == []
    assert len(choose(ROWS, 99, graded=False)) == 13  # right from the start is no example


def test_free_text_is_closer_or_further_off() -> None:
    rows = [
        row(1, 0, 0.8, 0.8),
        row(2, 0.8, 0, 0),
        row(3, 0, 0.05, 0.05),
        row(4, 1, 1, 0),
        row(5, 1, 1, 1),
    ]
    assert [(outcome.title, record.id) for outcome, record in choose(rows, 9, graded=True)] == [
        ("further off", "02"),
        ("further off once quantized", "04"),
        ("no closer", "03"),
        ("closer after tuning", "01"),
    ]
