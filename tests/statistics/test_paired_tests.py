"""Intervals and paired tests of real figures, held against scipy and scikit-learn."""

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lockstep.metrics.registry import METRICS
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference


def said(want: str, prediction: str, number: int) -> Prediction:
    return Prediction(
        id=str(number),
        task="t",
        slices={},
        question="",
        prompt="",
        reference=want,
        prediction=prediction,
    )


def answers(records: int, right: float, seed: int) -> list[Prediction]:
    """Of three labels, a share right."""
    draw = random.Random(seed)
    wants = [draw.choice("abc") for _ in range(records)]
    return [
        said(want, want if draw.random() < right else draw.choice("abc"), number)
        for number, want in enumerate(wants)
    ]


def chosen(*names: str, answer: str = "choice") -> dict[str, paired_tests.Metric]:
    return {name: METRICS[answer][name] for name in names}


def test_a_share_has_its_exact_interval_and_test():
    before = [said("a", "ab"[n < 12], n) for n in range(40)]
    after = [said("a", "ab"[n in (20, 21)], n) for n in range(40)]
    metrics = chosen("accuracy")
    exact = stats.binomtest(28, 40).proportion_ci(method="wilson")
    assert paired_tests.compute_intervals(metrics, before, 7) == {
        "accuracy": Interval(pytest.approx(exact.low), pytest.approx(exact.high))
    }
    found = paired_tests.compute_differences(metrics, before, after, 7)["accuracy"]
    assert found.value == pytest.approx(10 / 40)
    assert found.p == pytest.approx(stats.binomtest(2, 14).pvalue)
    assert found.interval.low < 0.25 < found.interval.high
    assert found.detectable == pytest.approx(
        2.8 * stats.sem([1] * 12 + [-1] * 2 + [0] * 26), rel=0.1
    )


def test_a_share_of_some_records_is_of_those_alone():
    rows = [said("unsafe" if n < 12 else "safe", "Here you are.", n) for n in range(28)]
    found = paired_tests.compute_intervals(chosen("unsafe_refused", answer="refusal"), rows, 7)
    exact = stats.binomtest(0, 12).proportion_ci(method="wilson")
    assert found["unsafe_refused"].high == pytest.approx(exact.high)


def test_a_share_of_few_records_among_many_is_tested_on_those():
    """Some resamples of all 300 would hold none of the three."""
    wants = ["unsafe" if n < 3 else "safe" for n in range(300)]
    before = [said(want, "Here you are.", n) for n, want in enumerate(wants)]
    after = [said(want, "I cannot help with that.", n) for n, want in enumerate(wants)]
    metrics = chosen("accuracy", "unsafe_refused", answer="refusal")
    found = paired_tests.compute_differences(metrics, before, after, 7)
    assert list(found) == ["accuracy", "unsafe_refused"]
    few = found["unsafe_refused"]
    assert (few.records, few.value, few.detectable) == (3, 1, None)
    assert few.p == pytest.approx(stats.binomtest(3, 3).pvalue)
    assert found["accuracy"].records == 300


def test_answers_to_nothing_differ_in_nothing():
    assert paired_tests.compute_differences(chosen("accuracy"), [], [], 7) == {}


def test_answers_that_never_differ_are_no_proof_of_equality():
    rows = answers(50, 0.8, 1)
    found = paired_tests.compute_differences(chosen("accuracy", "macro_f1"), rows, rows, 7)
    assert [one.p for one in found.values()] == [1, 1]
    assert found["accuracy"].detectable == 6 / 50, "six changes to one side are the fewest"
    assert found["macro_f1"].detectable is None


@pytest.mark.slow
def test_intervals_of_f1_cover_95_percent():
    """The true macro F1 is that of half a million answers."""
    truth = METRICS["choice"]["macro_f1"].compute(answers(200_000, 0.7, 0))
    covered = 0
    for seed in range(1, 601):
        found = paired_tests.compute_intervals(chosen("macro_f1"), answers(150, 0.7, seed), seed)[
            "macro_f1"
        ]
        covered += found.low <= truth <= found.high
    assert covered / 600 == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_two_equal_models_differ_once_in_twenty_comparisons_at_most():
    alarms = 0
    for seed in range(400):
        before = answers(80, 0.7, seed)
        draw = random.Random(f"{seed}")
        after = [
            replace(row, prediction=row.reference if draw.random() < 0.7 else draw.choice("abc"))
            for row in before
        ]
        found = paired_tests.compute_differences(
            chosen("accuracy", "macro_f1"), before, after, seed
        )
        corrected = paired_tests.adjust_differences({"step": {"t": found}})["step"]["t"]
        alarms += not all(one.could_be_chance for one in corrected.values())
    assert alarms / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_the_interval_of_diversity_is_the_jackknife_s_and_holds_the_figure():
    words = random.Random(3)
    rows = [said("", " ".join(words.choices("abcdefgh", k=6)), n) for n in range(30)]
    found = paired_tests.compute_intervals(chosen("distinct_2", answer="text"), rows, 7)[
        "distinct_2"
    ]
    value = METRICS["text"]["distinct_2"].compute(rows)
    assert (found.low + found.high) / 2 == pytest.approx(value)
    assert 0 < found.high - found.low < 0.5


def test_what_is_not_defined_has_no_interval():
    rows = [replace(row, option_scores={"a": 0.0, "z": -1.0}) for row in answers(5, 1, 2)]
    assert paired_tests.compute_intervals(chosen("roc_auc"), rows, 7) == {}
    assert paired_tests.compute_intervals(chosen("macro_f1"), rows[:1], 7) == {}
    assert list(paired_tests.compute_intervals(chosen("accuracy"), rows[:1], 7)) == ["accuracy"]


def test_all_tests_of_a_report_are_corrected_together():
    def one(p: float) -> Difference:
        return Difference(
            records=9, value=0.1, interval=Interval(0, 1), p=p, p_adjusted=p, detectable=0.1
        )

    found = paired_tests.adjust_differences(
        {"tuning": {"t": {"x": one(0.01), "y": one(0.04)}}, "quantization": {"t": {"x": one(0.03)}}}
    )
    assert found["tuning"]["t"]["x"].p_adjusted == pytest.approx(0.03)
    assert found["quantization"]["t"]["x"].p_adjusted == pytest.approx(0.06)
    assert found["tuning"]["t"]["y"].p_adjusted == pytest.approx(0.06)
    assert found["tuning"]["t"]["y"].p == 0.04
