"""Draw blind rating sheets from the predictions of the variants.

Run `python -m lockstep.human.rating_sheet data/predicted OUT`. The section `human` of params.yaml
says which answers are rated. OUT gets sheet-1.csv, sheet-2.csv … for the raters, and tasks.json
and labelling.xml for Label Studio. Put the filled sheets into data/human (docs/evaluation.md).
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import click

from lockstep import outputs, params, predictions
from lockstep.errors import UserError
from lockstep.human.human_params import HumanParams
from lockstep.human.rating_items import Item, collect_items
from lockstep.human.rating_sample import order_items, sample_records
from lockstep.params import Section
from lockstep.predictions import Prediction
from lockstep.rating_entries import HIGHEST

_FORMULA_START = re.compile(r"(^|[;\t]|[\r\n](?![-+] ))(?=[=+\-@\t\r＝＋－＠])")

LABELLING_CONFIG = """<View>
  <Header value="Question"/>
  <Text name="question" value="$question"/>
  <Header value="Answer"/>
  <Text name="answer" value="$answer"/>
{ratings}
  <Header value="Comment"/>
  <TextArea name="comment" toName="answer" rows="2"/>
</View>
"""
RATING_CONFIG = """  <Header value={question}/>
  <Rating name="{name}" toName="answer" maxRating="{highest}"/>"""


class Params(Section):
    human: HumanParams


def draw_items(predicted: Path, settings: HumanParams) -> list[Item]:
    """Return the items to rate from the predictions in PREDICTED/VARIANT/predictions.jsonl.

    Raise UserError if the variants answered different records.
    """
    by_variant: dict[str, list[Prediction]] = {
        variant: predictions.read(predicted / variant / "predictions.jsonl")
        for variant in settings.variants
    }
    first, *others = by_variant
    record_ids = {row.id for row in by_variant[first]}
    for variant in others:
        if {row.id for row in by_variant[variant]} != record_ids:
            raise UserError(
                f"{predicted / variant}: not the same test records as {first}; run `dvc repro`"
            )
    sampled = set(sample_records(by_variant[first], settings))
    return [item for item in collect_items(by_variant).values() if item.record in sampled]


def escape_formulas(cell: str) -> str:
    """Insert an apostrophe before each part of the cell that a spreadsheet would run as a formula.

    A formula can start at the start of the cell (OWASP, CSV Injection), and after a separator or
    line break if the spreadsheet splits the cell there. List items on further lines are no
    formulas.
    """
    return _FORMULA_START.sub(r"\1'", cell)


def write_sheet(path: Path, items: Sequence[Item], dimensions: Mapping[str, str]) -> None:
    """Write a CSV file for spreadsheet programs: UTF-8 with byte order mark, CR LF line ends."""
    headings = [f"{name}: {question}" for name, question in dimensions.items()]
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["item", "question", "answer", *headings, "comment"])
        for item in items:
            cells = [item.code, escape_formulas(item.question), escape_formulas(item.answer)]
            writer.writerow([*cells, *[""] * len(headings), ""])


def make_task(item: Item) -> dict[str, dict[str, str]]:
    """Return the item as a task of Label Studio's import format."""
    return {"data": {"item": item.code, "question": item.question, "answer": item.answer}}


def make_labelling_config(dimensions: Mapping[str, str]) -> str:
    """Return Label Studio's labelling configuration, with one to five stars per dimension."""
    ratings = [
        RATING_CONFIG.format(question=quoteattr(f"{name}: {question}"), name=name, highest=HIGHEST)
        for name, question in dimensions.items()
    ]
    return LABELLING_CONFIG.format(ratings="\n".join(ratings))


@click.command(help=__doc__)
@click.argument("predicted", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(predicted: Path, out: Path) -> None:
    settings = params.read(Params).human
    if out.exists():
        raise UserError(f"{out}: exists, and may hold ratings; move it away or name another folder")
    items = draw_items(predicted, settings)
    with outputs.atomic_folder(out) as partial:
        for rater in range(1, settings.raters + 1):
            ordered = order_items(items, f"{settings.seed}/{rater}")
            write_sheet(partial / f"sheet-{rater}.csv", ordered, settings.dimensions)
        tasks = [make_task(item) for item in order_items(items, f"{settings.seed}")]
        outputs.write_json(partial / "tasks.json", tasks)
        config = make_labelling_config(settings.dimensions)
        (partial / "labelling.xml").write_text(config, encoding="utf-8", newline="\n")
    records = len({item.record for item in items})
    click.echo(f"{out}: {len(items)} answers to {records} records", err=True)


if __name__ == "__main__":
    main()
