"""The area under the ROC curve equals scikit-learn's, its variance that of DeLong's formula."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from lockstep.metrics.registry import METRICS
from lockstep.metrics.roc_auc import measure_roc_auc, tabulate_probabilities
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.domain_gap import DomainParams, compute_domain_gaps

REFERENCES = "yynnynynnyny"
BEFORE = [0.9, 0.8, 0.7, 0.2, 0.6, 0.6, 0.3, 0.1, 0.4, 0.7, 0.5, 0.4]
AFTER = [0.7, 0.9, 0.4, 0.3, 0.8, 0.2, 0.3, 0.1, 0.5, 0.6, 0.3, 0.9]
"""Probabilities of `y` by two models, some of them tied."""
METRIC = {"roc_auc": METRICS["choice"]["roc_auc"]}


def make_predictions(
    references: Sequence[str], probabilities: Sequence[dict[str, float]], domain: str = "in"
) -> list[Prediction]:
    return [
        Prediction(
            id=str(number), task="t", slices={"domain": domain}, question="", prompt="",
            reference=reference, answer_form="choice", prediction="",
            option_scores={label: math.log(share) for label, share in shares.items()},
        )
        for number, (reference, shares) in enumerate(zip(references, probabilities, strict=True))
    ]  # fmt: skip


def make_binary(probabilities: Sequence[float], domain: str = "in") -> list[Prediction]:
    return make_predictions(REFERENCES, [{"y": p, "n": 1 - p} for p in probabilities], domain)


def test_the_variance_is_delongs() -> None:
    """The values are those of `delong` in the package confidenceinterval 1.0.5."""
    for probabilities, area, variance in [
        (BEFORE, 0.7361111, 0.02353395),
        (AFTER, 0.9166667, 0.00787037),
    ]:
        value, deviations = measure_roc_auc(tabulate_probabilities(make_binary(probabilities)))
        assert value == pytest.approx(area)
        assert (deviations**2).sum() == pytest.approx(variance, rel=1e-6)
    interval = paired_tests.compute_intervals(METRIC, make_binary(BEFORE), 7)["roc_auc"]
    margin = 1.959964 * math.sqrt(0.02353395)
    assert (interval.low, interval.high) == pytest.approx((0.7361111 - margin, 1.0))


def test_the_difference_of_two_models_has_delongs_test() -> None:
    before, after = make_binary(BEFORE), make_binary(AFTER)
    difference = paired_tests.compute_differences(METRIC, before, after, 7)["roc_auc"]
    assert difference.value == pytest.approx(0.1805556)
    assert difference.p == pytest.approx(0.14911494)
    margin = 1.959964 * math.sqrt(0.015663579)
    assert difference.interval.high == pytest.approx(0.1805556 + margin)
    same = paired_tests.compute_differences(METRIC, before, before, 7)["roc_auc"]
    assert (same.value, same.p, same.detectable) == (0, 1, None)


def test_few_records_prove_nothing() -> None:
    """All four answers turn from wrong to right, so the formula knows no uncertainty."""
    wrong, right = (
        make_predictions("ynyn", [{"y": p, "n": 1 - p} for p in shares])
        for shares in ([0.1, 0.9, 0.2, 0.8], [0.9, 0.1, 0.8, 0.2])
    )
    difference = paired_tests.compute_differences(METRIC, wrong, right, 7)["roc_auc"]
    assert (difference.value, difference.p) == (1, 2 / 2**4)


def test_the_area_of_many_labels_equals_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(7)
    references = generator.choice([*"abcde"], size=60)
    probabilities = generator.dirichlet(np.ones(5), size=60).round(1) + 0.02  # with ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    shares = [dict(zip("abcde", row.tolist(), strict=True)) for row in probabilities]
    rows = make_predictions(references.tolist(), shares)
    table = tabulate_probabilities(rows)
    expected = roc_auc_score(references, table[:, :-1], multi_class="ovr", average="macro")
    assert METRIC["roc_auc"].compute(rows) == pytest.approx(expected, abs=1e-12)


def test_the_standard_error_of_many_labels_is_that_of_the_bootstrap() -> None:
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(3)
    references = generator.integers(0, 3, size=300)
    scores = generator.normal(size=(300, 3))
    scores[np.arange(300), references] += 1
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    table = np.column_stack([probabilities, references])
    areas = [
        roc_auc_score(references[drawn], probabilities[drawn], multi_class="ovr")
        for drawn in generator.integers(0, 300, size=(300, 300))
    ]
    standard_error = math.hypot(*measure_roc_auc(table).deviations)
    assert standard_error == pytest.approx(np.std(areas, ddof=1), rel=0.12)


def test_a_label_without_a_reference_has_no_area() -> None:
    shares = [{"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.2, "b": 0.5, "c": 0.3}]
    assert math.isnan(METRIC["roc_auc"].compute(make_predictions("ab", shares)))
    assert math.isnan(METRIC["roc_auc"].compute(make_predictions("a", [{"a": 1.0}])))


def test_domains_are_compared_by_the_errors_of_both() -> None:
    suite = MeasuredSuite(task="t", form="choice", metrics=METRIC)
    rows = [*make_binary(BEFORE, "in"), *make_binary(AFTER, "out")]
    params = DomainParams(slice="domain", out=["out"])
    gap = compute_domain_gaps({"merged": rows}, [suite], params, 7)["merged"]["t"]
    z = (0.9166667 - 0.7361111) / math.sqrt(0.02353395 + 0.00787037)
    assert gap.p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-5)
