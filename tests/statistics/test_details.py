import pytest
from hypothesis import given
from hypothesis import strategies as st
from lockstep.reporting.comparison import Change, changes, classes, mistakes, weakest
from lockstep.reporting.stage_results import Prediction
from sklearn.metrics import precision_recall_fscore_support


def prediction(**scores: float) -> Prediction:
    prediction = dict.fromkeys(scores, "?")
    return Prediction(
        id="0",
        task="t",
        slices={},
        question="?",
        reference="?",
        prediction=prediction,
        scores=scores,
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
    reference = precision_recall_fscore_support(want, have, labels=sorted(found), zero_division=0)
    for (_, own), *figures in zip(sorted(found.items()), *reference, strict=True):
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


def test_the_weakest_slice_of_a_figure_is_that_of_enough_records() -> None:
    parts = {
        "language": {
            "en": {"records": 40, "accuracy": 0.9, "calibration_error": 0.2},
            "zh": {"records": 9, "accuracy": 0.1},
        },
        "phrasing": {"seen": {"records": 30, "accuracy": 0.8, "calibration_error": 0.1}},
    }
    parts["source"] = {"all.csv": {"records": 50, "accuracy": 0.7, "calibration_error": 0.3}}
    overall = {"accuracy": 0.7, "calibration_error": 0.3}
    suite = {"records": 50, "overall": overall, "slices": parts}
    assert weakest(suite) == {
        "accuracy": {"slice": "phrasing seen", "figure": 0.8, "records": 30},
        "calibration_error": {"slice": "language en", "figure": 0.2, "records": 40},
    }
