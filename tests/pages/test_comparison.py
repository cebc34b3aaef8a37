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
    mistakes,
)
from stages.pages.results import Prediction


def prediction(**scores: float) -> Prediction:
    got = dict.fromkeys(scores, "?")
    return Prediction(
        id="0", task="t", slices={}, question="?", expected="?", got=got, scores=scores
    )


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


def test_changes_count_records_that_score_more_or_less() -> None:
    rows = [
        prediction(base=0, merged=1),
        prediction(base=1, merged=0),
        prediction(base=0, merged=0),
        prediction(base=0.25, merged=0.5),
    ]
    assert changes(rows, "base", "merged") == Change(better=2, worse=1)


def test_the_most_frequent_mistake_comes_first_and_right_answers_are_none() -> None:
    table = {"a": {"a": 9, "b": 2}, "b": {"a": 1, "b": 1, "c": 2}}
    assert mistakes(table) == [("b", "c", 2, 4), ("a", "b", 2, 11), ("b", "a", 1, 4)]
