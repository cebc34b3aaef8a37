from typing import Any

from lockstep.reporting.plot_tables import plots


def figures(**overall: float) -> dict[str, Any]:
    suite = {"overall": overall, "confusion": {"a, b": {"a, b": 2, "c": 1}}}
    return {"t": suite, "perplexity": 2.0}


LOG: list[dict[str, Any]] = [
    {"step": 10.0, "loss": 1.5, "validation_loss": None},
    {"step": 20.0, "loss": None, "validation_loss": 0.5},
]
FOUND = plots({v: figures(accuracy=0.5, bleu=50.0) for v in ("base", "merged", "quantized")}, LOG)


def test_a_step_without_a_figure_has_no_row() -> None:
    assert FOUND["loss.csv"] == "step,loss\n10,1.5\n"
    assert FOUND["validation_loss.csv"] == "step,validation_loss\n20,0.5\n"


def test_figures_share_one_scale_and_perplexity_has_none() -> None:
    lines = FOUND["variants.csv"].splitlines()
    assert "t bleu base,base,t,bleu,0.5" in lines
    assert not any("perplexity" in line for line in lines)


def test_confusion_has_a_row_for_each_record() -> None:
    rows = FOUND["confusion.csv"].splitlines()
    assert rows == ["actual,predicted", '"a, b","a, b"', '"a, b","a, b"', '"a, b",c']
