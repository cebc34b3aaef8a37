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


def test_metrics_share_one_scale_and_perplexity_has_none() -> None:
    lines = TABLES["variants.csv"].splitlines()
    assert "t bleu base,base,t,bleu,0.5" in lines
    assert not any("perplexity" in line for line in lines)


def test_confusion_has_a_row_for_each_record() -> None:
    rows = TABLES["confusion.csv"].splitlines()
    assert rows == ["actual,predicted", '"a, b","a, b"', '"a, b","a, b"', '"a, b",c']
