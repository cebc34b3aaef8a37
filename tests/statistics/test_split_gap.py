"""What was learnt against what was held out."""

import pytest
from lockstep.metrics.suites import Suite

from lockstep.predictions import SPLIT, Prediction
from lockstep.statistics import confidence_intervals, split_gap

SUITES = [
    Suite(task="intent", answer="choice", metrics=["accuracy"]),
    Suite(task="refusal", answer="refusal", metrics=["accuracy"]),
]


def rows(split: str, right: int, wrong: int, loss: float) -> list[Prediction]:
    return [
        Prediction(
            id=f"{split}{n}", task="intent", slices={SPLIT: split} if split else {},
            question="", prompt="", reference="a", prediction="a" if n < right else "b",
            loss=loss + n % 2, tokens=2,
        )
        for n in range(right + wrong)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe (1998), table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
    ],
)
def test_the_interval_of_a_difference_is_newcombes(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
):
    sides = [
        (right / of, confidence_intervals.of_share(right, of)) for right, of in (first, second)
    ]
    found = confidence_intervals.of_difference(sides[0], sides[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_the_gap_is_between_records_learnt_and_held_out():
    others = [*rows("train", 9, 1, 0.5), *rows("validation", 3, 7, 1.5)]
    found = split_gap.of(rows("", 5, 0, 2.5), others, SUITES, seed=7)
    assert set(found) == {"intent"}
    accuracy = found["intent"]["accuracy"]
    assert accuracy.records == {"train": 10, "validation": 10, "test": 5}
    assert accuracy.figures == {"train": 0.9, "validation": 0.3, "test": 1.0}
    assert accuracy.gap == pytest.approx(0.6)
    ends = accuracy.gap_interval
    assert (ends.low, ends.high) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    perplexity = found["intent"]["perplexity"]
    assert perplexity.gap < perplexity.gap_interval.high < 0, "what was learnt is likelier"


def test_there_is_no_gap_without_records_of_both_sides():
    assert split_gap.of(rows("", 5, 0, 1.0), rows("train", 9, 1, 0.5), SUITES, seed=7) == {}
    assert split_gap.of(rows("", 5, 0, 1.0), [], SUITES, seed=7) == {}
