"""The test records that are judged, with the answers of the variants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.judging.judge_params import Judge
from lockstep.records import Record


@dataclass(frozen=True, slots=True)
class Case:
    """A test record, and variant -> answer."""

    record: Record
    answers: dict[str, str]


def read(predicted: Path, test: Path, chosen: Judge) -> list[Case]:
    """Those of each suite, evenly spread; UserError where a variant did not answer them."""
    rows = list(records.read(test))
    picked = [row for suite in chosen.suites for row in _picked(rows, suite, chosen.records)]
    answers = {name: _answers(predicted / name, picked) for name in chosen.variants}
    return [Case(row, {name: own[row.id] for name, own in answers.items()}) for row in picked]


def _picked(rows: Sequence[Record], suite: str, number: int) -> list[Record]:
    own = [row for row in rows if row.task == suite]
    if not own:
        tasks = ", ".join(sorted({row.task for row in rows})) or "none"
        raise UserError(
            f"params.yaml: judge.suites: no test record has task {suite}; the tasks are {tasks}"
        )
    return records.sample_evenly(own, number)


def _answers(folder: Path, rows: Sequence[Record]) -> dict[str, str]:
    """Record's id -> answer."""
    file = folder / "predictions.jsonl"
    given = {row.id: row.prediction for row in predictions.read(file) if row.answer_form}
    for row in rows:
        if row.id not in given:
            raise UserError(
                f"{file}: no answer to {row.id} of task {row.task}; `dvc repro` makes it"
            )
    return given
