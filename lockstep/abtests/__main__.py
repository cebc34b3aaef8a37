"""Plan an A/B test, or show its results at this moment: `make abtest PLAN=file.yaml [LOG=folder]`.

Without a log, it prints how many users each outcome needs. Results may be looked at as often as you
like: the intervals and p-values hold for all looks together. docs/abtests.md describes the test.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter

from lockstep.abtests import abtest_results, abtest_text, outcome_table
from lockstep.errors import exit_on_mistake
from lockstep.serving.abtest_plan import read_plan


@click.command(help=__doc__)
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--log", type=click.Path(path_type=Path, file_okay=False), help="Folder of the log.")
@click.option(
    "--end",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="Time in UTC up to which the log is complete; default: that of its last line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all values as JSON.")
def main(plan_file: Path, log: Path | None, end: datetime | None, as_json: bool) -> None:
    plan = read_plan(plan_file)
    if log is None:
        click.echo(abtest_text.format_plan(plan))
        return
    seconds = None if end is None else end.replace(tzinfo=UTC).timestamp()
    table = outcome_table.read_table(log, plan, seconds)
    results = abtest_results.compute_results(table, plan)
    if as_json:
        click.echo(TypeAdapter(Any).dump_json(results, indent=1))
    else:
        click.echo(abtest_text.format_results(results, table, plan))


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
