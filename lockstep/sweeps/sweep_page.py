"""Write the page of a sweep: its decision, tables and charts in one file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from lockstep import outputs, reporting
from lockstep.sweeps import run_summary
from lockstep.sweeps.run_groups import describe_suite_metric
from lockstep.sweeps.run_summary import Summary
from lockstep.sweeps.settings_table import Comparison, describe_decision

TEMPLATE = "sweep.html.j2"
CAPTION = (
    "In brackets: the 95% interval, over the test records of a single run, over several seeds "
    "(Student's t), or over folds with a correction for the training records that they share."
)
COSTS = {"size": "size of the weights that ship", "time": "training time"}
TIME_NOTE = "Training times depend on what else the machine did."


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    """Number of columns on the left that hold texts."""
    caption: str = ""
    notes: Sequence[str] = ()


def write_page(title: str, commit: str, summary: Summary, out: Path) -> None:
    """Write the page of a summary to a file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(__file__).parent, *reporting.__path__]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    comparison = summary.comparison
    page = environment.get_template(TEMPLATE).render(
        title=title,
        commit=commit,
        decision=describe_decision(comparison) if comparison else ["No run has ended yet."],
        best=comparison.best if comparison else None,
        tables=[*list_tables(summary)],
        charts=draw_charts(comparison) if comparison else {},
        left_out=summary.left_out,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with outputs.atomic_file(out) as partial:
        partial.write_text(page, encoding="utf-8")


def draw_charts(comparison: Comparison) -> dict[str, Markup]:
    """Return the charts by caption."""
    from lockstep.sweeps import sweep_charts  # imports matplotlib

    metric = " ".join(run_summary.format_title_of(comparison, comparison.suite)).strip()
    parameters = {
        f"{metric} by {name}, with 95% intervals.": chart
        for name, chart in sweep_charts.draw_parameters(comparison).items()
    }
    costs = {
        f"{metric} by {COSTS[name]}. Dashed: the Pareto front. Numbers: rows of the table.": chart
        for name, chart in sweep_charts.draw_costs(comparison).items()
    }
    return {_capitalize(caption): chart for caption, chart in (parameters | costs).items()}


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def list_tables(summary: Summary) -> Iterator[Table]:
    """Yield the tables of the page: settings, curves, folds and losses."""
    comparison = summary.comparison
    if comparison:
        header, *rows = run_summary.list_setting_cells(comparison)
        numbered = [(f"{number}. {row[0]}", *row[1:]) for number, row in enumerate(rows, 1)]
        yield Table("Settings", header, numbered, notes=[TIME_NOTE])
        suites = list(comparison.metrics)
        if len(suites) > 1:
            yield _build_suite_table(comparison, suites)
    for curve_group in summary.curves:
        for curve in curve_group.suites:
            display = describe_suite_metric(curve.suite, curve.metric)
            yield Table(
                run_summary.format_heading("Learning curve", curve_group),
                ("share", "training records", "runs", "mean", "95% interval"),
                [run_summary.format_point(point, display) for point in curve.points],
                caption=" ".join(run_summary.format_title(curve.suite, display)),
                notes=[run_summary.describe_gain(curve.gain, display)],
            )
    for fold_group in summary.folds:
        yield Table(
            run_summary.format_heading("Folds", fold_group),
            run_summary.FOLD_HEADER,
            [run_summary.format_fold(fold) for fold in fold_group.suites],
            texts=2,
            notes=[*run_summary.list_missing_folds(fold_group.suites)],
        )
    if summary.runs:
        header, *rows = run_summary.list_loss_cells(summary.runs)
        yield Table("Loss on training and validation records", header, rows)


def _build_suite_table(comparison: Comparison, suites: Sequence[str]) -> Table:
    """Return the table of all suites' main metrics with their intervals."""
    rows = []
    for row in comparison.rows:
        cells = [run_summary.format_estimate(comparison, row, suite) for suite in suites]
        rows.append((row.label, *(f"{mean} ({interval})" for mean, interval in cells)))
    titles = [run_summary.format_title_of(comparison, suite) for suite in suites]
    header = ("", *(" ".join(title).strip() for title in titles))
    return Table("All suites", header, rows, caption=CAPTION)
