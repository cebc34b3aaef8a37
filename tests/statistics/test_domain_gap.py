"""The gap between records in and out of the domain, and the tests of two independent samples."""

import numpy as np
import pytest
import scipy.stats

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.multiple_testing import adjust_p_values
from lockstep.predictions import Prediction
from lockstep.statistics import confidence_intervals
from lockstep.statistics.domain_gap import DomainParams, compute_domain_gaps
from lockstep.suites import AnswerForm

PARAMS = DomainParams(slice="domain", out=["near", "far"])


def make_rows(right: dict[str, tuple[int, int]], form: str = "choice") -> list[Prediction]:
    """Return predictions; `right` is {domain: (correct, all)}."""
    return [
        Prediction(id=f"{domain}{n}", task="t", slices={"domain": domain} if domain else {},
                   question="", prompt="", reference="a b", answer_form=form,
                   prediction="a b" if n < correct else "a")
        for domain, (correct, records) in right.items()
        for n in range(records)
    ]  # fmt: skip


def make_suite(form: AnswerForm, *names: str) -> MeasuredSuite:
    return MeasuredSuite(task="t", form=form, metrics={n: METRICS[form][n] for n in names})


def test_the_values_of_the_slice_divide_the_records() -> None:
    rows = make_rows({"core": (8, 10), "near": (1, 2), "far": (1, 4), "": (0, 7)})
    suite = make_suite("choice", "macro_f1", "accuracy")
    gap = compute_domain_gaps({"base": rows}, [suite], PARAMS, 7)["base"]["t"]
    assert gap.metric == "accuracy"
    assert gap.records == {"in_domain": 10, "out_of_domain": 6}
    assert gap.values == {"in_domain": 0.8, "out_of_domain": 2 / 6}
    assert gap.p == pytest.approx(scipy.stats.fisher_exact([[8, 2], [2, 4]]).pvalue)
    only_far = DomainParams(slice="domain", out=["far"])
    gap = compute_domain_gaps({"base": rows}, [suite], only_far, 7)["base"]["t"]
    assert gap.records == {"in_domain": 12, "out_of_domain": 4}


def test_the_interval_is_newcombes() -> None:
    """Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: 56/70 - 48/80."""
    rows = make_rows({"core": (56, 70), "near": (48, 80)})
    gap = compute_domain_gaps({"base": rows}, [make_suite("choice", "accuracy")], PARAMS, 7)
    interval = gap["base"]["t"].interval
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert gap["base"]["t"].difference == pytest.approx(0.2)


def test_p_values_are_corrected_for_suites_and_variants_together() -> None:
    base, merged = (
        make_rows({"core": (9, 10), "near": (1, 6)}),
        make_rows({"core": (9, 9), "near": (5, 6)}),
    )
    gaps = compute_domain_gaps(
        {"base": base, "merged": merged}, [make_suite("choice", "accuracy")], PARAMS, 7
    )
    expected = adjust_p_values([gaps["base"]["t"].p, gaps["merged"]["t"].p])
    assert [gaps[variant]["t"].p_adjusted for variant in gaps] == expected
    assert gaps["base"]["t"].p_adjusted > gaps["base"]["t"].p


def test_other_metrics_have_a_permutation_test() -> None:
    rows = make_rows({"core": (30, 30), "near": (0, 30)}, "text")
    gap = compute_domain_gaps({"base": rows}, [make_suite("text", "rouge_l")], PARAMS, 7)
    assert gap["base"]["t"].p == 1 / (1 + confidence_intervals.PERMUTATIONS)


@pytest.mark.parametrize("rows", [{"core": (1, 2)}, {"near": (1, 2)}, {"": (1, 2)}])
def test_suites_without_records_of_both_kinds_are_left_out(
    rows: dict[str, tuple[int, int]],
) -> None:
    suite = make_suite("choice", "accuracy")
    assert compute_domain_gaps({"base": make_rows(rows)}, [suite], PARAMS, 7) == {"base": {}}


def test_without_a_slice_nothing_is_compared() -> None:
    assert compute_domain_gaps({"base": []}, [], DomainParams(), 7) == {}


@pytest.mark.parametrize("values", [{"slice": "domain"}, {"out": ["far"]}])
def test_slice_and_out_belong_together(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="slice and out belong together"):
        DomainParams.model_validate(values)


def test_fishers_test_equals_the_lady_tasting_tea() -> None:
    """Fisher (1935), The Design of Experiments: 3 of 4 cups named correctly, p = 34/70."""
    assert confidence_intervals.compute_fisher_p((3, 4), (1, 4)) == pytest.approx(34 / 70)


def test_the_permutation_test_equals_that_of_scipy() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.normal(0.8, 1, 14), generator.normal(0, 1, 9)
    values = np.concatenate([first, second])
    p = confidence_intervals.compute_two_sample_permutation_p(
        lambda weights: (weights @ values) / weights.sum(-1), np.arange(23) < 14, 7
    )
    expected = scipy.stats.permutation_test(
        (first, second), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=100_000,
        vectorized=True, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert p == pytest.approx(expected.pvalue, abs=0.02)
    assert 0.01 < p < 0.5
