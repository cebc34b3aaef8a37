"""Draw a blind sheet of answers for people to rate, out of the variants' predictions.

`python -m lockstep.human.rating_sheet data/predicted OUT`: by section `human` of params.yaml.
Writes OUT/sheet-1.csv, sheet-2.csv … for each rater, and tasks.json with labelling.xml for
Label Studio.
What comes back filled belongs into data/human (docs/evaluation.md).
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import click

from lockstep import outputs, params, predictions
from lockstep.errors import UserError
from lockstep.human import rating_items, rating_sample
from lockstep.human.rating_items import HIGHEST, HumanParams, Item
from lockstep.params import Section
from lockstep.predictions import Prediction

_FORMULA = re.compile(r"(^|[;\t]|[\r\n](?![-+] ))(?=[=+\-@\t\r＝＋－＠])")

LABELLING = """<View>
  <Header value="Question"/>
  <Text name="question" value="$question"/>
  <Header value="Answer"/>
  <Text name="answer" value="$answer"/>
{ratings}
  <Header value="Comment"/>
  <TextArea name="comment" toName="answer" rows="2"/>
</View>
"""
RATING = """  <Header value={asked}/>
  <Rating name="{name}" toName="answer" maxRating="{highest}"/>"""


class Params(Section):
    human: HumanParams


def drawn(folder: Path, chosen: HumanParams) -> list[Item]:
    """The answers to be rated, out of FOLDER/VARIANT/predictions.jsonl."""
    answers: dict[str, list[Prediction]] = {
        name: predictions.read(folder / name / "predictions.jsonl") for name in chosen.variants
    }
    first, *others = answers
    ids = {row.id for row in answers[first]}
    for name in others:
        if {row.id for row in answers[name]} != ids:
            raise UserError(f"{folder / name}: other test records than {first}; `dvc repro`")
    wanted = set(rating_sample.sample(answers[first], chosen))
    return [item for item in rating_items.collect(answers).values() if item.record in wanted]


def harmless(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet would run as a formula.

    That is at its start (OWASP, CSV Injection), and where a spreadsheet that expects another
    separator would start a cell; list items in further lines stay as they are.
    """
    return _FORMULA.sub(r"\1'", cell)


def write_sheet(path: Path, rows: Sequence[Item], dimensions: Mapping[str, str]) -> None:
    """CSV as spreadsheet programs take it: UTF-8 with a byte order mark, lines end in CR LF."""
    heads = [f"{name}: {asked}" for name, asked in dimensions.items()]
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["item", "question", "answer", *heads, "comment"])
        for item in rows:
            shown = [item.code, harmless(item.question), harmless(item.answer)]
            writer.writerow([*shown, *[""] * len(heads), ""])


def task(item: Item) -> dict[str, dict[str, str]]:
    """The item to import into Label Studio."""
    return {"data": {"item": item.code, "question": item.question, "answer": item.answer}}


def labelling(dimensions: Mapping[str, str]) -> str:
    """Label Studio's labelling configuration: one to five stars for each dimension."""
    ratings = [
        RATING.format(asked=quoteattr(f"{name}: {asked}"), name=name, highest=HIGHEST)
        for name, asked in dimensions.items()
    ]
    return LABELLING.format(ratings="\n".join(ratings))


@click.command(help=__doc__)
@click.argument("predicted", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(predicted: Path, out: Path) -> None:
    chosen = params.read(Params).human
    if out.exists():
        raise UserError(f"{out}: exists, and may hold ratings; move it away or name another folder")
    shown = drawn(predicted, chosen)
    with outputs.atomic_folder(out) as partial:
        for rater in range(1, chosen.raters + 1):
            rows = rating_sample.order(shown, f"{chosen.seed}/{rater}")
            write_sheet(partial / f"sheet-{rater}.csv", rows, chosen.dimensions)
        tasks = [task(item) for item in rating_sample.order(shown, f"{chosen.seed}")]
        outputs.write_json(partial / "tasks.json", tasks)
        text = labelling(chosen.dimensions)
        (partial / "labelling.xml").write_text(text, encoding="utf-8", newline="\n")
    records = len({item.record for item in shown})
    click.echo(f"{out}: {len(shown)} answers to {records} records", err=True)


if __name__ == "__main__":
    main()
