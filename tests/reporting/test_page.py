"""The page: cells with their judgement, escaping, and the order of its tables."""

import jinja2
import pytest

from lockstep.predictions import STEPS
from lockstep.reporting import page
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference
from tests.reporting.results import make_results


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        page.render("page.html.j2", {})


def test_markdown_shows_text_literally() -> None:
    assert page.escape_markdown("a|b *c* [d](e)") == r"a\|b \*c\* \[d\](e)"
    assert "<" not in page.escape_markdown("<img src=x>")


def test_long_texts_are_clipped_with_their_length() -> None:
    assert page.clip("short") == "short"
    assert page.clip("x" * 1240) == "x" * 600 + "… (1,240 characters)"


def make_tested_results(*steps: tuple[float, float]) -> EvaluationResults:
    """Return results with the difference and the p-value of each step, in accuracy of intent."""
    differences = {
        step: {
            "intent": {
                "accuracy": Difference(
                    records=400,
                    value=value,
                    interval=Interval(value - 0.02, value + 0.02),
                    p=p / 2,
                    p_adjusted=p,
                    detectable=0.03,
                )
            }
        }
        for step, (value, p) in zip(STEPS, steps, strict=True)
    }
    return make_results((0.1, 0.95, 0.94), differences, intervals={"accuracy": [0.913, 0.972]})


def test_a_change_is_judged_by_its_direction_and_its_p_value() -> None:
    results = make_tested_results((0.85, 0.0), (-0.01, 0.4))
    cells = page.build_cells(results, "intent", "accuracy", [0.1, 0.95, 0.94])
    assert [(cell.text, cell.change, cell.judgement) for cell in cells] == [
        ("10.0%", "", ""),
        ("95.0%", "+85.0", "better"),
        ("94.0%", "−1.0", "chance"),
    ]
    assert cells[1].interval == "91.3% – 97.2%"
    assert cells[2].explanation == (
        "95% interval of the change: −3.0 points to +1.0 points; corrected p 0.4; "
        "smallest detectable change: 3.0 points"
    )
    cells = page.build_cells(results, "intent", "accuracy", [0.95, 0.1, 0.1])
    assert [cell.judgement for cell in cells] == ["", "worse", "same"]


def test_a_change_without_a_test_is_untested_and_a_metric_without_a_best_value_has_no_bar() -> None:
    results = make_tested_results((0, 1), (0, 1))
    cells = page.build_cells(results, "perplexity", "perplexity", [9.0, 2.0, 2.5])
    assert [cell.judgement for cell in cells] == ["", "untested", "untested"]
    assert [(cell.bar, cell.interval) for cell in cells] == [(None, "")] * 3


def test_an_undefined_metric_has_an_empty_cell_and_the_next_variant_no_change() -> None:
    results = make_tested_results((0.85, 0.0), (-0.01, 0.4))
    cells = page.build_cells(results, "intent", "accuracy", [None, 0.95, 0.94])
    assert [(cell.text, cell.change, cell.judgement) for cell in cells] == [
        ("", "", ""),
        ("95.0%", "", ""),
        ("94.0%", "−1.0", "chance"),
    ]


def test_mistakes_are_sorted_by_their_number() -> None:
    confusion = {"a": {"a": 5, "b": 1, "c": 3}, "b": {"b": 2, "c": 1}}
    assert page.list_mistakes(confusion) == [("a", "c", 3, 9), ("b", "c", 1, 3), ("a", "b", 1, 9)]
    assert page.list_unexpected_labels(confusion) == ["c"]
