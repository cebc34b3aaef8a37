"""The tables for `dvc plots`."""

from typing import Any

from lockstep.predictions import VARIANTS
from lockstep.statistics.plot_tables import build_plot_tables

LOG: list[dict[str, Any]] = [
    {"step": 10.0, "loss": 1.5, "validation_loss": None},
    {"step": 20.0, "loss": None, "validation_loss": 0.5},
]
VARIANT: dict[str, Any] = {
    "t": {
        "overall": {"accuracy": 0.5, "bleu": 50.0},
        "confusion": {"a, b": {"a, b": 2, "c": 1}},
    },
    "perplexity": 2.0,
}
TABLES = build_plot_tables(dict.fromkeys(VARIANTS, VARIANT), LOG)


def test_a_step_without_a_value_has_no_row() -> None:
    assert TABLES["loss.csv"] == "step,loss\n10,1.5\n"
    assert TABLES["validation_loss.csv"] == "step,validation_loss\n20,0.5\n"


def test_the_plot_of_metrics_has_the_main_one_of_each_suite_as_a_share() -> None:
    assert TABLES["variants.csv"].splitlines() == [
        "suite_metric,variant,suite,metric,value",
        "t: accuracy,base,t,accuracy,0.5",
        "t: accuracy,merged,t,accuracy,0.5",
        "t: accuracy,quantized,t,accuracy,0.5",
    ]


def test_a_metric_without_a_best_value_is_left_out_and_a_percentage_becomes_a_share() -> None:
    suites = {
        "texts": {"overall": {"bleu": 50.0}},
        "numbers": {"overall": {"mean_absolute_error": 3.0}},
    }
    rows = build_plot_tables(dict.fromkeys(VARIANTS, suites), [])["variants.csv"].splitlines()
    assert rows[1:] == [f"texts: BLEU,{name},texts,bleu,0.5" for name in VARIANTS]


def test_confusion_has_a_row_for_each_record() -> None:
    rows = TABLES["confusion.csv"].splitlines()
    assert rows == ["actual,predicted", '"a, b","a, b"', '"a, b","a, b"', '"a, b",c']
