"""Render the report page, report.md and the model card from what evaluate computed."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FOLDER, OUT, run
from lockstep.hub.base_params import BaseParams
from lockstep.params import Section
from lockstep.reporting import page, rendering, text_report
from lockstep.reporting.evaluation_results import read_results
from lockstep.reporting.report_params import ReportParams
from lockstep.statistics.stage_results import read_log, read_summaries
from lockstep.training.train_params import TrainParams

TEMPLATES = {
    "index.html": "page.html.j2",
    "model-card.md": "model-card.md.j2",
    "report.md": "report.md.j2",
}
"""File in reports/ -> its template."""


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    base: BaseParams
    train: TrainParams
    report: ReportParams


@click.command(help=__doc__)
@click.argument("data", type=IN_FOLDER)
@click.argument("details", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("reports", type=OUT)
def main(data: Path, details: Path, reports: Path) -> None:
    values = page.collect_values(
        read_results(details),
        read_summaries(data),
        read_log(data / "trained/log.csv"),
        params.read(Params).model_dump(),
    )
    values["tables"] = text_report.build_tables(values)
    for name, template in TEMPLATES.items():
        with outputs.atomic_file(reports / name) as partial:
            partial.write_text(rendering.render(template, values), encoding="utf-8", newline="\n")
    click.echo(f"report: {values['headline']}", err=True)


if __name__ == "__main__":
    run(main)
