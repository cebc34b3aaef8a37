"""Krippendorff's alpha equals that of the paper, of the krippendorff library and of NLTK."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.metrics.agreement import AnnotationTask

from lockstep.human.rating_metrics import compute_krippendorff_alpha

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011); one row per observer
BINARY = ["0100000010", "1110010000"]
MISSING = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


def make_units(observers: list[str]) -> list[list[int]]:
    return [[int(value) for value in unit if value != "."] for unit in zip(*observers, strict=True)]


def test_alpha_equals_that_of_the_paper() -> None:
    assert compute_krippendorff_alpha(make_units(BINARY)) == pytest.approx(0.095, abs=5e-4)
    assert compute_krippendorff_alpha(make_units(MISSING)) == pytest.approx(0.815, abs=5e-4)


def test_alpha_equals_that_of_the_krippendorff_library() -> None:
    """The values are those of krippendorff 0.9.0 with level_of_measurement="ordinal"."""
    assert compute_krippendorff_alpha(make_units(MISSING)) == pytest.approx(
        0.8153875037548814, abs=1e-12
    )
    assert compute_krippendorff_alpha(make_units(["5432154321", "5432143215"])) == pytest.approx(
        0.525, abs=1e-12
    )
    assert compute_krippendorff_alpha(make_units(["1155", "5511"])) == pytest.approx(
        -0.75, abs=1e-12
    )


@given(
    st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=4), min_size=2, max_size=8).filter(
        lambda ratings: len({value for unit in ratings for value in unit}) > 1
    )
)
def test_alpha_equals_that_of_nltk_with_the_ordinal_metric(ratings: list[list[int]]) -> None:
    values = [value for unit in ratings for value in unit]

    def compute_distance(first: Any, other: Any) -> float:
        low, high = sorted((first, other))
        ends = values.count(low) + values.count(high)
        return (sum(low <= value <= high for value in values) - ends / 2) ** 2

    data = [
        (rater, unit, value) for unit, row in enumerate(ratings) for rater, value in enumerate(row)
    ]
    assert compute_krippendorff_alpha(ratings) == pytest.approx(
        AnnotationTask(data, compute_distance).alpha(), abs=1e-9
    )


@pytest.mark.parametrize("ratings", [[], [[3]], [[3], [4], []], [[3, 3], [3, 3, 3]]])
def test_alpha_is_undefined_if_no_two_ratings_can_differ(ratings: list[list[int]]) -> None:
    assert compute_krippendorff_alpha(ratings) is None
