"""Write records as Label Studio tasks, and read its exports as a source.

`python -m lockstep.data.label_studio` writes the tasks and the labelling interface.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import click

from lockstep import records
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError
from lockstep.records import Record

INTERFACE = """<View>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single" showInLine="true">
{choices}
  </Choices>
</View>
"""


class Vote(NamedTuple):
    """The answer of one annotator to one task."""

    annotator: str
    task: str
    answer: str
    question_type: str
    """Type of the question: choices, text or rating."""


def read_votes(row: Any) -> list[Vote]:
    """Return the answers of all annotators to a task, without skipped annotations."""
    annotations = row.get("annotations") if isinstance(row, dict) else None
    if not isinstance(annotations, list):
        raise InvalidRowError("missing_annotations")
    task = str(row.get("id"))
    return [vote for annotation in annotations for vote in _read_annotation(annotation, task)]


def merge_votes(row: Any, votes: Sequence[Vote]) -> dict[str, Any]:
    """Return the task's data with the answer of most annotators as `label`.

    Raise InvalidRowError if nobody answered or if no answer has the most votes.
    """
    if not isinstance(row.get("data"), dict):
        raise InvalidRowError("missing_data")
    if not votes:
        raise InvalidRowError("not_annotated")
    (label, count), *others = Counter(vote.answer for vote in votes).most_common(2)
    if others and others[0][1] == count:
        raise InvalidRowError("annotators_disagree")
    return {**row["data"], "label": label}


def measure_agreement(votes: Sequence[Vote]) -> dict[str, float]:
    """Return Krippendorff's alpha and, for two annotators, Cohen's kappa.

    Only tasks with two or more answers count. Both measures are 1 for full agreement and 0 for
    agreement by chance.
    """
    from nltk.metrics.agreement import AnnotationTask

    votes_by_task = defaultdict(list)
    for vote in votes:
        votes_by_task[vote.task].append(vote)
    shared = [vote for group in votes_by_task.values() if len(group) > 1 for vote in group]
    result: dict[str, float] = {
        "annotators": len({vote.annotator for vote in votes}),
        "tasks_answered_twice": len({vote.task for vote in shared}),
    }
    if shared:
        task = AnnotationTask(data=[(vote.annotator, vote.task, vote.answer) for vote in shared])
        result["krippendorff_alpha"] = round(task.alpha(), 4)
        if len({vote.annotator for vote in shared}) == 2:
            result["cohen_kappa"] = round(task.kappa(), 4)
    return result


def make_tasks(rows: Iterable[Record]) -> list[dict[str, Any]]:
    """Return records as tasks to import into Label Studio, each with its answer as a prediction."""
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


def make_interface(labels: Iterable[str]) -> str:
    """Return the XML of a labelling interface that offers these labels."""
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
    return INTERFACE.format(choices=choices)


def _read_annotation(annotation: Any, task: str) -> Iterator[Vote]:
    """Yield the first answer in an annotation, unless it was skipped."""
    if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
        return
    annotator = annotation.get("completed_by", annotation.get("id"))
    if isinstance(annotator, dict):
        annotator = annotator.get("id", annotator.get("email"))
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        answer, question_type = _read_answer(value) if isinstance(value, dict) else ("", "")
        if answer:
            yield Vote(str(annotator), task, answer, question_type)
            return


def _read_answer(value: dict[str, Any]) -> tuple[str, str]:
    """Return an answer and the type of its question, or two empty strings."""
    for question_type in ("choices", "text", "rating"):
        answer = value.get(question_type)
        if isinstance(answer, list) and answer and all(isinstance(part, str) for part in answer):
            return "\n".join(answer), question_type
        if isinstance(answer, str | int) and not isinstance(answer, bool):
            return str(answer), question_type
    return "", ""


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
def main(source: Path, out: Path, task: str, number: int) -> None:
    """Write OUT/tasks.json and OUT/config.xml for Label Studio from a file of records.

    Annotate the tasks in Label Studio and export them as JSON. Then put the file into data/raw and
    list it in prepare.sources with format label_studio.
    """
    rows = [row for row in records.read(source) if task in ("", row.task)]
    if not rows:
        raise UserError(f"{source}: no record of task {task}; correct --task")
    sample = records.sample_evenly(rows, number)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(make_tasks(sample), ensure_ascii=False, indent=1)
    (out / "tasks.json").write_text(text, encoding="utf-8")
    interface = make_interface(sorted({row.answer for row in rows}))
    (out / "config.xml").write_text(interface, encoding="utf-8")
    click.echo(
        f"wrote {len(sample)} tasks to {out / 'tasks.json'} and their interface to config.xml",
        err=True,
    )


if __name__ == "__main__":
    main()
