"""Write an annotation project for Label Studio from a file of records."""

import json
from pathlib import Path

import click

from lockstep import records
from lockstep.data.label_studio import project_writing
from lockstep.errors import UserError


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--task", default="", help="Only records of this task.")
@click.option(
    "--number",
    default=100,
    type=click.IntRange(min=1),
    show_default=True,
    help="Maximum number of records, sampled evenly.",
)
@click.option(
    "--form",
    type=click.Choice([*project_writing.INTERFACES]),
    help="One choice, several choices, spans, a comparison of two answers, or a reply; without it, "
    "the form that suits the answers.",
)
def main(source: Path, out: Path, task: str, number: int, form: str | None) -> None:
    """Write OUT/tasks.json and OUT/config.xml for Label Studio from a file of records.

    Annotate the tasks in Label Studio and export them as JSON. Then put the file into data/raw and
    list it in prepare.sources with format label_studio.
    """
    rows = [row for row in records.read(source) if task in ("", row.task)]
    if not rows:
        raise UserError(f"{source}: no record of task {task}; correct --task")
    form = form or project_writing.guess_form(rows)
    if form == "comparison" and any(row.rejected is None for row in rows):
        raise UserError(f"{source}: a record has no rejected answer; name another --form or --task")
    sample = records.sample_evenly(rows, number)
    out.mkdir(parents=True, exist_ok=True)
    tasks = project_writing.make_tasks(sample, form)
    text = json.dumps(tasks, ensure_ascii=False, indent=1)
    (out / "tasks.json").write_text(text, encoding="utf-8")
    interface = project_writing.make_interface(rows, form)
    (out / "config.xml").write_text(interface, encoding="utf-8")
    click.echo(f"{out}: {len(sample)} tasks and their interface (form {form})", err=True)


if __name__ == "__main__":
    main()
