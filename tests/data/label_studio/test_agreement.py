"""The agreement of annotators equals that of published examples and other libraries."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.data.label_studio.agreement import measure_agreement
from lockstep.data.label_studio.voting import Vote
from tests.data.label_studio.exports import read_votes

DATA = Path(__file__).parents[1]


def test_alpha_equals_that_of_the_krippendorff_library() -> None:
    """label_studio_export.json was written by label-studio-sdk 2.1.2."""
    assert measure_agreement(read_votes("label_studio_export.json", DATA)) == {
        "annotators": 3,
        "tasks_answered_twice": 8,
        "krippendorff_alpha": pytest.approx(0.6524390243902439, abs=5e-5),  # krippendorff 0.9.0
    }


def make_votes(table: dict[str, list[Any]], question: str) -> list[Vote]:
    """Return the votes in a table with a row for each annotator and None for no answer."""
    return [
        Vote(annotator, str(task), str(answer), question)
        for annotator, answers in table.items()
        for task, answer in enumerate(answers)
        if answer is not None
    ]


def test_kappa_equals_that_of_a_textbook_example() -> None:
    """The annotators agree on yes 20 times and on no 15 times; they differ 5 and 10 times.

    Source: Wikipedia, Cohen's kappa, simple example.
    """
    table = {
        "a": [*"y" * 20, *"y" * 5, *"n" * 10, *"n" * 15],
        "b": [*"y" * 20, *"n" * 5, *"y" * 10, *"n" * 15],
    }
    assert measure_agreement(make_votes(table, "choices"))["cohen_kappa"] == 0.4
    assert measure_agreement([Vote("a", "1", "y", "choices")]) == {
        "annotators": 1,
        "tasks_answered_twice": 0,
    }


NONE = None
KRIPPENDORFF: dict[str, list[Any]] = {
    "a": [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    "b": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    "c": [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    "d": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
}


@pytest.mark.parametrize(("question", "alpha"), [("choices", 0.743), ("rating", 0.849)])
def test_alpha_compares_choices_by_equality_and_ratings_by_difference(
    question: str, alpha: float
) -> None:
    """Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, example C."""
    measured = measure_agreement(make_votes(KRIPPENDORFF, question))["krippendorff_alpha"]
    assert measured == pytest.approx(alpha, abs=5e-4)


def test_sets_that_share_a_choice_agree_more_than_sets_that_share_none() -> None:
    both = ['["a","b"]', '["c"]', '["d"]']
    near = make_votes({"1": both, "2": ['["a"]', '["c"]', '["d"]']}, "several_choices")
    far = make_votes({"1": both, "2": ['["e"]', '["c"]', '["d"]']}, "several_choices")
    alphas = [measure_agreement(votes)["krippendorff_alpha"] for votes in (near, far)]
    assert 1 > alphas[0] > alphas[1] > 0


def test_spans_agree_if_their_bounds_and_labels_are_equal() -> None:
    """Two spans of two against one wrong span: 4 of 4, 0 of 3 and 0 of 3 spans are equal."""
    measured = measure_agreement(read_votes("spans.json"))
    assert measured == {"annotators": 3, "tasks_answered_twice": 2, "span_f1": 0.4}
    assert measure_agreement(make_votes({"a": ["[]"], "b": ["[]"]}, "spans"))["span_f1"] == 1
