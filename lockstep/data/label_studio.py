"""People's annotations: records out to Label Studio, and its export in as a source."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import click

from lockstep import records
from lockstep.data.rejection import UnfitError
from lockstep.errors import UserError
from lockstep.records import Record


class Vote(NamedTuple):
    """The answer of one annotator to one task."""

    annotator: str
    task: str
    answer: str
    question: str
    """Type of the answer: choices, text or rating."""


CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single" showInLine="true">
{choices}
  </Choices>
</View>
"""


def votes(row: Any) -> list[Vote]:
    """What each annotator answered: a choice, text or rating; a skipped annotation is none."""
    annotations = row.get("annotations") if isinstance(row, dict) else None
    if not isinstance(annotations, list):
        raise UnfitError("missing_annotations")
    return [vote for annotation in annotations for vote in _votes(annotation, str(row.get("id")))]


def fields(row: Any, votes: Sequence[Vote]) -> dict[str, Any]:
    """The task's data and the `label` that most annotators gave it.

    UnfitError where nobody answered, or no answer has the most votes.
    """
    if not isinstance(row.get("data"), dict):
        raise UnfitError("missing_data")
    if not votes:
        raise UnfitError("not_annotated")
    (label, most), *others = Counter(vote.answer for vote in votes).most_common(2)
    if others and others[0][1] == most:
        raise UnfitError("annotators_disagree")
    return {**row["data"], "label": label}


def _votes(annotation: Any, task: str) -> Iterable[Vote]:
    if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
        return
    who = annotation.get("completed_by", annotation.get("id"))
    who = who.get("id", who.get("email")) if isinstance(who, dict) else who
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        answer, question = _answer(value) if isinstance(value, dict) else ("", "")
        if answer:
            yield Vote(str(who), task, answer, question)
            return


def _answer(value: dict[str, Any]) -> tuple[str, str]:
    for kind in ("choices", "text", "rating"):
        answer = value.get(kind)
        if isinstance(answer, list) and answer and all(isinstance(a, str) for a in answer):
            return "\n".join(answer), kind
        if isinstance(answer, str | int) and not isinstance(answer, bool):
            return str(answer), kind
    return "", ""


def agreement(votes: Sequence[Vote]) -> dict[str, float]:
    """How far annotators agree: Krippendorff's alpha and, of pairs, the mean of Cohen's kappa.

    Both are 1 for full agreement and 0 for chance; of the tasks that two or more have answered.
    """
    from nltk.metrics.agreement import AnnotationTask

    by_task = defaultdict(list)
    for vote in votes:
        by_task[vote.task].append(vote)
    shared = [vote for group in by_task.values() if len(group) > 1 for vote in group]
    annotators = {vote.annotator for vote in shared}
    facts: dict[str, float] = {"annotators": len({vote.annotator for vote in votes})}
    facts["tasks_answered_twice"] = len({vote.task for vote in shared})
    if shared:
        task = AnnotationTask(data=[(vote.annotator, vote.task, vote.answer) for vote in shared])
        facts["krippendorff_alpha"] = round(task.alpha(), 4)
        if len(annotators) == 2:
            facts["cohen_kappa"] = round(task.kappa(), 4)
    return facts


def tasks(rows: Iterable[Record]) -> list[dict[str, Any]]:
    """Records as tasks to import into Label Studio, today's answer as its prediction."""
    return [
        {
            "data": {"text": row.question, "record": row.id, "task": row.task, **row.slices},
            "predictions": [
                {
                    "model_version": "today",
                    "result": [
                        {
                            "from_name": "label",
                            "to_name": "text",
                            "type": "choices",
                            "value": {"choices": [row.answer]},
                        }
                    ],
                }
            ],
        }
        for row in rows
    ]


def config(labels: Iterable[str]) -> str:
    """The labelling interface for these choices."""
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
    return CONFIG.format(choices=choices)


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--task", default="", help="Only records of this task.")
@click.option(
    "--number",
    default=100,
    type=click.IntRange(min=1),
    show_default=True,
    help="At most so many, evenly spread.",
)
def main(source: Path, out: Path, task: str, number: int) -> None:
    """Write OUT/tasks.json and OUT/config.xml for Label Studio from a file of records.

    Annotate there, export as JSON, put the file into data/raw and list it in prepare.sources with
    format label_studio.
    """
    rows = [row for row in records.read(source) if task in ("", row.task)]
    if not rows:
        raise UserError(f"{source}: no record of task {task}; correct --task")
    chosen = records.sample_evenly(rows, number)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(tasks(chosen), ensure_ascii=False, indent=1)
    (out / "tasks.json").write_text(text, encoding="utf-8")
    (out / "config.xml").write_text(config(sorted({row.answer for row in rows})), encoding="utf-8")
    click.echo(
        f"{len(chosen)} tasks in {out / 'tasks.json'}, their interface in config.xml", err=True
    )


if __name__ == "__main__":
    main()
