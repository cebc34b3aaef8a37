"""Write a grading form for records: are they correct, complete and consistent, from 1 to 5?

Run `python -m lockstep.human.grading_form data/prepared/train.jsonl OUT`. OUT gets sheet-1.csv,
sheet-2.csv … for the graders, and tasks.json and labelling.xml for Label Studio. Put the filled
sheets, or the export as JSON, into data/raw and name them in prepare.quality.grades
(docs/annotation.md).
"""

from pathlib import Path

import click

from lockstep import outputs, records
from lockstep.data import grades
from lockstep.errors import UserError
from lockstep.human.rating_items import Item
from lockstep.human.rating_sample import order_items
from lockstep.human.rating_sheet import make_labelling_config, make_task, write_sheet
from lockstep.records import Record


def make_item(record: Record) -> Item:
    """Return a record as an item to grade; the turns before the last question are shown too."""
    turns = [m for m in record.prompt if m["role"] != "system" and m["content"]]
    question = "\n".join(f"{m['role']}: {m['content']}" for m in turns)
    answer = record.answer
    if record.rejected is not None:
        answer = f"better: {answer}\nworse: {record.with_rejected().answer}"
    return Item(
        code=grades.make_code(record),
        record=record.id,
        task=record.task,
        question=question if len(turns) > 1 else record.question,
        answer=answer,
        variants=(),
    )


@click.command(help=__doc__)
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--task", default="", help="Only records of this task.")
@click.option(
    "--number",
    default=100,
    type=click.IntRange(min=1),
    show_default=True,
    help="Maximum number of records, sampled evenly.",
)
@click.option(
    "--graders",
    default=2,
    type=click.IntRange(min=1),
    show_default=True,
    help="Number of sheets, each in its own order.",
)
def main(source: Path, out: Path, task: str, number: int, graders: int) -> None:
    if out.exists():
        raise UserError(f"{out}: exists, and may hold grades; move it away or name another folder")
    rows = [row for row in records.read(source) if task in ("", row.task)]
    if not rows:
        raise UserError(f"{source}: no record of task {task}; correct --task")
    sample = map(make_item, records.sample_evenly(rows, number))
    items = [*{item.code: item for item in sample}.values()]
    with outputs.atomic_folder(out) as partial:
        for grader in range(1, graders + 1):
            ordered = order_items(items, str(grader))
            write_sheet(partial / f"sheet-{grader}.csv", ordered, grades.DIMENSIONS)
        outputs.write_json(partial / "tasks.json", [make_task(item) for item in items])
        config = make_labelling_config(grades.DIMENSIONS)
        (partial / "labelling.xml").write_text(config, encoding="utf-8", newline="\n")
    click.echo(f"{out}: {len(items)} records", err=True)


if __name__ == "__main__":
    main()
