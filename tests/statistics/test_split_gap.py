"""The gap between training and validation records."""

import pytest

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import SPLIT, Prediction
from lockstep.statistics import confidence_intervals
from lockstep.statistics.split_gap import compute_split_gaps
from lockstep.suites import AnswerForm


def make_suite(task: str, form: AnswerForm) -> MeasuredSuite:
    return MeasuredSuite(task=task, form=form, metrics={"accuracy": METRICS[form]["accuracy"]})


SUITES = [make_suite("intent", "choice"), make_suite("refusal", "refusal")]


def make_predictions(split: str, right: int, wrong: int, loss: float) -> list[Prediction]:
    """Return correct and wrong predictions of a split, "" for test, whose losses alternate."""
    return [
        Prediction(
            id=f"{split}{number}", task="intent", slices={SPLIT: split} if split else {},
            question="", prompt="", reference="a", prediction="a" if number < right else "b",
            answer_form="choice", loss=loss + number % 2, tokens=2,
        )
        for number in range(right + wrong)
    ]  # fmt: skip


TEST = make_predictions("", 5, 0, 2.5)


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
) -> None:
    sides = [
        (right / records, confidence_intervals.compute_share_interval(right, records))
        for right, records in (first, second)
    ]
    interval = confidence_intervals.compute_difference_interval(sides[0], sides[1])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_the_gap_is_between_training_and_validation_records() -> None:
    others = [
        *make_predictions("train", 9, 1, 0.5),
        *make_predictions("validation", 3, 7, 1.5),
    ]
    gaps = compute_split_gaps(TEST, others, SUITES, seed=7)
    assert set(gaps) == {"intent"}
    accuracy = gaps["intent"]["accuracy"]
    assert accuracy.records == {"train": 10, "validation": 10, "test": 5}
    assert accuracy.values == {"train": 0.9, "validation": 0.3, "test": 1.0}
    assert accuracy.gap == pytest.approx(0.6)
    ends = accuracy.gap_interval
    assert (ends.low, ends.high) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    perplexity = gaps["intent"]["perplexity"]
    assert perplexity.gap < perplexity.gap_interval.high < 0, "training records are more likely"


def test_there_is_no_gap_without_records_of_both_splits() -> None:
    assert compute_split_gaps(TEST, make_predictions("train", 9, 1, 0.5), SUITES, seed=7) == {}
    assert compute_split_gaps(TEST, [], SUITES, seed=7) == {}
