"""Cells of the tables of metrics: values, intervals and judged changes."""

from lockstep.predictions import STEPS
from lockstep.reporting import metric_cells
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference
from tests.reporting.results import make_results


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
    cells = metric_cells.build_cells(results, "intent", "accuracy", [0.1, 0.95, 0.94])
    assert [(cell.text, cell.change, cell.judgement) for cell in cells] == [
        ("10.0%", "", ""),
        ("95.0%", "+85.0", "better"),
        ("94.0%", "−1.0", "chance"),
    ]
    assert cells[1].interval == "91.3% – 97.2%"
    assert metric_cells.list_tests(results)[1] == [
        "intent accuracy", "quantization", "−1.0 points", "−3.0 to +1.0 points", "0.4", "3.0 points"
    ]  # fmt: skip
    cells = metric_cells.build_cells(results, "intent", "accuracy", [0.95, 0.1, 0.1])
    assert [cell.judgement for cell in cells] == ["", "worse", "same"]


def test_a_change_without_a_test_is_untested_and_a_metric_without_a_best_value_has_no_bar() -> None:
    results = make_tested_results((0, 1), (0, 1))
    cells = metric_cells.build_cells(results, "perplexity", "perplexity", [9.0, 2.0, 2.5])
    assert [cell.judgement for cell in cells] == ["", "untested", "untested"]
    assert [(cell.bar, cell.interval) for cell in cells] == [(None, "")] * 3


def test_an_undefined_metric_has_an_empty_cell_and_the_next_variant_no_change() -> None:
    results = make_tested_results((0.85, 0.0), (-0.01, 0.4))
    cells = metric_cells.build_cells(results, "intent", "accuracy", [None, 0.95, 0.94])
    assert [(cell.text, cell.change, cell.judgement) for cell in cells] == [
        ("", "", ""),
        ("95.0%", "", ""),
        ("94.0%", "−1.0", "chance"),
    ]
