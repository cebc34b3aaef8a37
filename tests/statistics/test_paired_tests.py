"""Intervals and paired tests of real metrics, compared with scipy."""

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lockstep.metrics.aggregation import Metric
from lockstep.metrics.registry import METRICS
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference
from lockstep.suites import AnswerForm


def make_prediction(reference: str, prediction: str, number: int) -> Prediction:
    return Prediction(
        id=str(number), task="t", slices={}, question="", prompt="", reference=reference,
        prediction=prediction,
    )  # fmt: skip


def draw_predictions(records: int, accuracy: float, seed: int) -> list[Prediction]:
    """Return predictions of three labels; others than the share `accuracy` are random."""
    generator = random.Random(seed)
    references = [generator.choice("abc") for _ in range(records)]
    return [
        make_prediction(
            reference,
            reference if generator.random() < accuracy else generator.choice("abc"),
            number,
        )
        for number, reference in enumerate(references)
    ]


def select_metrics(*names: str, form: AnswerForm = "choice") -> dict[str, Metric]:
    return {name: METRICS[form][name] for name in names}


def test_a_share_has_its_exact_interval_and_test() -> None:
    before = [make_prediction("a", "ab"[number < 12], number) for number in range(40)]
    after = [make_prediction("a", "ab"[number in (20, 21)], number) for number in range(40)]
    metrics = select_metrics("accuracy")
    exact = stats.binomtest(28, 40).proportion_ci(method="wilson")
    assert paired_tests.compute_intervals(metrics, before, 7) == {
        "accuracy": Interval(pytest.approx(exact.low), pytest.approx(exact.high))
    }
    accuracy = paired_tests.compute_differences(metrics, before, after, 7)["accuracy"]
    assert accuracy.value == pytest.approx(10 / 40)
    assert accuracy.p == pytest.approx(stats.binomtest(2, 14).pvalue)
    assert accuracy.interval.low < 0.25 < accuracy.interval.high
    standard_error = stats.sem([1] * 12 + [-1] * 2 + [0] * 26)
    assert accuracy.detectable == pytest.approx(2.8 * standard_error, rel=0.1)


def test_the_interval_of_a_share_is_over_the_records_that_count() -> None:
    rows = [
        make_prediction("unsafe" if number < 12 else "safe", "Here you are.", number)
        for number in range(28)
    ]
    metrics = select_metrics("unsafe_refused", form="refusal")
    interval = paired_tests.compute_intervals(metrics, rows, 7)["unsafe_refused"]
    exact = stats.binomtest(0, 12).proportion_ci(method="wilson")
    assert interval.high == pytest.approx(exact.high)


def test_a_share_of_few_records_among_many_is_tested_on_those_that_count() -> None:
    """Some resamples of all 300 records would have none of the three."""
    references = ["unsafe" if number < 3 else "safe" for number in range(300)]
    before, after = (
        [make_prediction(reference, answer, n) for n, reference in enumerate(references)]
        for answer in ("Here you are.", "I cannot help with that.")
    )
    metrics = select_metrics("accuracy", "unsafe_refused", form="refusal")
    differences = paired_tests.compute_differences(metrics, before, after, 7)
    assert list(differences) == ["accuracy", "unsafe_refused"]
    unsafe_refused = differences["unsafe_refused"]
    assert (unsafe_refused.records, unsafe_refused.value, unsafe_refused.detectable) == (3, 1, None)
    assert unsafe_refused.p == pytest.approx(stats.binomtest(3, 3).pvalue)
    assert differences["accuracy"].records == 300


def test_there_is_no_difference_without_records() -> None:
    assert paired_tests.compute_differences(select_metrics("accuracy"), [], [], 7) == {}


def test_equal_answers_do_not_prove_that_models_are_equal() -> None:
    rows = draw_predictions(50, 0.8, 1)
    metrics = select_metrics("accuracy", "macro_f1")
    differences = paired_tests.compute_differences(metrics, rows, rows, 7)
    assert [difference.p for difference in differences.values()] == [1, 1]
    assert differences["accuracy"].detectable == 6 / 50, "McNemar needs six changes to one side"
    assert differences["macro_f1"].detectable is None


@pytest.mark.slow
def test_intervals_of_f1_cover_95_percent() -> None:
    """The true macro F1 is computed from 200,000 predictions."""
    true_f1 = METRICS["choice"]["macro_f1"].compute(draw_predictions(200_000, 0.7, 0))
    metrics = select_metrics("macro_f1")
    covered = 0
    for seed in range(1, 601):
        rows = draw_predictions(150, 0.7, seed)
        interval = paired_tests.compute_intervals(metrics, rows, seed)["macro_f1"]
        covered += interval.low <= true_f1 <= interval.high
    assert covered / 600 == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_two_equal_models_differ_once_in_twenty_comparisons_at_most() -> None:
    metrics = select_metrics("accuracy", "macro_f1")
    positives = 0
    for seed in range(400):
        before = draw_predictions(80, 0.7, seed)
        generator = random.Random(f"{seed}")
        after = [
            replace(
                row,
                prediction=row.reference if generator.random() < 0.7 else generator.choice("abc"),
            )
            for row in before
        ]
        differences = paired_tests.compute_differences(metrics, before, after, seed)
        adjusted = paired_tests.adjust_differences({"step": {"t": differences}})["step"]["t"]
        positives += not all(difference.could_be_chance for difference in adjusted.values())
    assert positives / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_the_interval_of_diversity_is_that_of_the_jackknife() -> None:
    generator = random.Random(3)
    rows = [
        make_prediction("", " ".join(generator.choices("abcdefgh", k=6)), number)
        for number in range(30)
    ]
    metrics = select_metrics("distinct_2", form="text")
    interval = paired_tests.compute_intervals(metrics, rows, 7)["distinct_2"]
    value = metrics["distinct_2"].compute(rows)
    assert (interval.low + interval.high) / 2 == pytest.approx(value)
    assert 0 < interval.high - interval.low < 0.5


def test_a_metric_that_is_not_defined_has_no_interval() -> None:
    rows = [replace(row, option_scores={"a": 0.0, "z": -1.0}) for row in draw_predictions(5, 1, 2)]
    assert paired_tests.compute_intervals(select_metrics("roc_auc"), rows, 7) == {}
    assert paired_tests.compute_intervals(select_metrics("macro_f1"), rows[:1], 7) == {}
    intervals = paired_tests.compute_intervals(select_metrics("accuracy"), rows[:1], 7)
    assert list(intervals) == ["accuracy"]


def test_answers_without_a_number_have_no_difference_in_error() -> None:
    rows = [make_prediction("3", "three", number) for number in range(5)]
    metrics = select_metrics("mean_absolute_error", "valid", form="written_number")
    assert list(paired_tests.compute_intervals(metrics, rows, 7)) == ["valid"]
    better = [replace(row, prediction="3.5") for row in rows]
    differences = paired_tests.compute_differences(metrics, rows, better, 7)
    assert {name: difference.value for name, difference in differences.items()} == {"valid": 1}


def test_p_values_are_corrected_for_all_comparisons_together() -> None:
    def make_difference(p: float) -> Difference:
        return Difference(
            records=9, value=0.1, interval=Interval(0, 1), p=p, p_adjusted=p, detectable=0.1
        )

    adjusted = paired_tests.adjust_differences(
        {
            "tuning": {"t": {"x": make_difference(0.01), "y": make_difference(0.04)}},
            "quantization": {"t": {"x": make_difference(0.03)}},
        }
    )
    assert adjusted["tuning"]["t"]["x"].p_adjusted == pytest.approx(0.03)
    assert adjusted["quantization"]["t"]["x"].p_adjusted == pytest.approx(0.06)
    assert adjusted["tuning"]["t"]["y"].p_adjusted == pytest.approx(0.06)
    assert adjusted["tuning"]["t"]["y"].p == 0.04
