"""Drift: known values of its statistics, and which differences between splits are reported."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import chi2_contingency, entropy

from lockstep.data import data_card, drift
from lockstep.data.data_card import RecordStatistics
from lockstep.data.record_metadata import extract_metadata
from lockstep.records import Record
from tests.data.examples import make_record


def make_counter(*counts: int) -> Counter[str]:
    return Counter({f"v{number}": count for number, count in enumerate(counts)})


def compare(train: Sequence[int], other: Sequence[int], group_size: float = 1) -> drift.Comparison:
    comparison = drift.compare_counts(make_counter(*train), make_counter(*other), group_size)
    assert comparison is not None
    return comparison


def measure(
    train: list[Record], test: list[Record], group_size: float = 1
) -> tuple[dict[str, dict[str, object]], list[str]]:
    """Return the comparisons of the test split, and the sentences."""
    splits = {
        name: RecordStatistics(
            Counter(extract_metadata(record, with_answer=True) for record in records),
            data_card.measure_lengths(records),
        )
        for name, records in (("train", train), ("validation", []), ("test", test))
    }
    result = drift.measure_drift(splits, {"a"}, group_size)
    assert result["validation"] == {}, "an empty split is not compared"
    return result["test"], drift.describe_drift(result)


def make_records(number: int, answer: str = "yes", length: int = 9, **slices: str) -> list[Record]:
    return [make_record("x" * length, answer, **slices) for _ in range(number)]


def test_chi_squared_of_the_example_of_scipy() -> None:
    """The table of scipy's documentation of chi2_contingency."""
    comparison = compare([10, 10, 20], [20, 20, 20])
    assert comparison.chi_squared == pytest.approx(2.7777777777777777)
    assert comparison.p == pytest.approx(0.24935220877729619)
    assert comparison.degrees_of_freedom == 2


@pytest.mark.parametrize("counts", [([90, 60, 104, 95], [30, 50, 51, 20]), ([7, 900], [60, 40])])
def test_the_statistics_are_those_of_scipy(counts: tuple[list[int], list[int]]) -> None:
    comparison = compare(*counts)
    expected = chi2_contingency(counts, correction=False)
    assert comparison.chi_squared == pytest.approx(expected.statistic)
    assert comparison.p == pytest.approx(expected.pvalue)
    p, q = np.array(counts) + 0.5
    symmetric = entropy(p, q) + entropy(q, p)  # the index is Jeffreys' divergence
    assert comparison.stability_index == pytest.approx(symmetric)


def test_the_stability_index_of_a_value_that_doubles() -> None:
    """(0.2 - 0.1) ln 2 + (0.8 - 0.9) ln(8/9) = 0.0811."""
    comparison = compare([10_000, 90_000], [20_000, 80_000])
    assert comparison.stability_index == pytest.approx(0.0811, abs=1e-4)
    assert (comparison.value, comparison.train_share, comparison.share) == ("v0", 0.1, 0.2)


def test_groups_count_as_one_observation_each() -> None:
    by_record, by_group = compare([50, 50], [30, 10]), compare([50, 50], [30, 10], group_size=4)
    assert by_group.chi_squared == pytest.approx(by_record.chi_squared / 4)
    assert by_group.p > by_record.p
    assert by_group.stability_index == by_record.stability_index


def test_rare_values_are_pooled() -> None:
    """A quarter of the records is in the other split, so 20 records of a value are expected 5."""
    comparison = compare([300, 200, *[5] * 6], [100, 66, *[2] * 5, 4])
    assert comparison.degrees_of_freedom == 2, "six rare values become one"
    assert compare([300, 200, 2], [100, 66, 1]).degrees_of_freedom == 1, "too rare by itself"
    assert drift.compare_counts(make_counter(90, 3), make_counter(30, 2)) is None
    assert drift.compare_counts(make_counter(90), Counter()) is None


def test_drift_is_significant_and_large() -> None:
    small_but_significant = compare([50_000, 50_000], [52_500, 47_500])
    assert small_but_significant.p < 1e-9 and small_but_significant.stability_index < 0.1
    facts, sentences = measure(
        make_records(50_000, language="en") + make_records(50_000, language="zh"),
        make_records(52_500, language="en") + make_records(47_500, language="zh"),
    )
    assert not facts["the slice language"]["is_drift"] and not sentences
    large_but_chance = compare([20, 20], [13, 7])
    assert large_but_chance.p > 0.05 and large_but_chance.stability_index > 0.05


def test_each_attribute_that_drifts_has_a_sentence() -> None:
    train = make_records(400, "yes", 9, channel="chat") + make_records(
        400, "no", 30, channel="mail"
    )
    test = make_records(90, "yes", 9, channel="chat") + make_records(10, "no", 30, channel="mail")
    facts, sentences = measure(train, test)
    assert list(facts) == ["the labels of t", "the slice channel", "question length"], "one task"
    expected = chi2_contingency([[400, 400], [90, 10]], correction=False)
    assert facts["the slice channel"] == {
        "records": 100,
        "chi_squared": round(expected.statistic, 2),
        "degrees_of_freedom": 1,
        "p_adjusted": pytest.approx(3 * expected.pvalue, rel=0.01),
        "stability_index": pytest.approx(0.87, abs=0.02),
        "value": "mail",
        "train_share": 0.5,
        "share": 0.1,
        "is_drift": True,
    }
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "The test split differs from training in the labels of t",
        "The test split differs from training in the slice channel",
        "The test split differs from training in question length",
    ]
    assert ": no is 10.0% of test and 50.0% of training (population stability " in sentences[0]
    assert ": 10 to 30 characters is 10.0% of test" in sentences[2]


def test_equal_distributions_do_not_drift_by_chance() -> None:
    """Of 200 random splits, at most 5% should have a false report; 20 are 3 sigma above that."""
    generator = np.random.default_rng(4)
    reports = 0
    for _ in range(200):
        values = generator.integers(0, 6, (1000, 2))
        records = [
            make_record("x" * int(length), str(label))
            for (label, _), length in zip(values, generator.integers(5, 90, 1000), strict=True)
        ]
        reports += bool(measure(records[:880], records[880:])[1])
    assert reports <= 20


def test_the_p_values_are_corrected_for_all_comparisons() -> None:
    """By Holm's method, the smallest one is multiplied by the number of comparisons."""
    train = make_records(100, a="x", b="x", c="x") + make_records(100, a="y", b="y", c="y")
    test = make_records(30, a="x", b="x", c="x") + make_records(30, a="x", b="y", c="y")
    facts, _ = measure(train, test)
    p = compare([100, 100], [60, 0]).p
    assert [*facts] == ["the slice a", "the slice b", "the slice c"]
    assert facts["the slice a"]["p_adjusted"] == pytest.approx(3 * p, rel=0.01)
