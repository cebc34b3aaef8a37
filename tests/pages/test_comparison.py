import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from stages.pages.comparison import (
    Change,
    changes,
    classes,
    interval,
    is_right,
    mistakes,
    overlap,
)
from stages.pages.results import Prediction


def prediction(expected: str, **got: str) -> Prediction:
    return Prediction(id="0", task="t", slices={}, question="?", expected=expected, got=got)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_the_exact_binomial_one(better: int, worse: int) -> None:
    p = Change(better=better, worse=worse).p
    if better + worse:
        assert p == pytest.approx(binomtest(better, better + worse).pvalue)
    else:
        assert p == 1


def test_the_sign_test_takes_many_records() -> None:
    assert not Change(better=60_000, worse=50_000).could_be_chance


@given(st.integers(1, 2000), st.data())
def test_the_interval_is_wilsons(records: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, records))
    expected = binomtest(right, records).proportion_ci(method="wilson")
    assert interval(right / records, records) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


LABELS = st.sampled_from("abcd")


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_class_figures_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    table: dict[str, dict[str, int]] = {}
    for want, have in pairs:
        row = table.setdefault(want, {})
        row[have] = row.get(have, 0) + 1
    found = classes(table)
    want, have = zip(*pairs, strict=True)
    expected = precision_recall_fscore_support(want, have, labels=sorted(found), zero_division=0)
    for (_, own), *figures in zip(sorted(found.items()), *expected, strict=True):
        assert [own["precision"], own["recall"], own["f1"], own["records"]] == pytest.approx(
            figures
        )


def test_answers_are_right_as_text_or_as_json() -> None:
    assert is_right("track_order", "track_order")
    assert is_right('{"a":1,"b":2}', '{ "b": 2, "a": 1 }')
    assert not is_right('{"a":1}', '{"a":2}')
    assert not is_right('{"a":1}', '{"a":1')
    assert not is_right("1", "1.0")  # labels, not numbers


@given(st.text(), st.text())
def test_overlap_is_a_symmetric_share(one: str, other: str) -> None:
    assert 0 <= overlap(one, other) <= 1
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, one) == 1


def test_overlap_counts_shared_pairs_of_characters() -> None:
    assert overlap("abc", "bcd") == 0.5  # ab bc and bc cd share one of two
    assert overlap("订单已发货", "订单未发货") == 0.5


def test_changes_count_records_not_answers() -> None:
    rows = [
        prediction("a", base="b", merged="a"),
        prediction("a", base="a", merged="b"),
        prediction("a", base="b", merged="c"),
        prediction("a", base="c", merged="a"),
    ]
    assert changes(rows, "base", "merged", is_right) == Change(better=2, worse=1)


def test_the_most_frequent_mistake_comes_first_and_right_answers_are_none() -> None:
    table = {"a": {"a": 9, "b": 2}, "b": {"a": 1, "b": 1, "c": 2}}
    assert mistakes(table) == [("b", "c", 2, 4), ("a", "b", 2, 11), ("b", "a", 1, 4)]
