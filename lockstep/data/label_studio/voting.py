"""Votes: the answers of the annotators to a task, and the answer that they agree on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import orjson

from lockstep.data.label_studio import spans
from lockstep.data.rejected_rows import InvalidRowError

ANSWER, REJECTED, GROUP = "$answer", "$rejected", "$group"
"""Columns of a merged row; the data of a task may have columns such as label."""


class Vote(NamedTuple):
    """The answer of one annotator to one task."""

    annotator: str
    task: str
    answer: str
    """Choice, number, text or side; several choices and spans are JSON."""
    question_type: str
    """Type of the question: choices, several_choices, text, rating, number, pairwise or spans."""
    ground_truth: bool = False
    """Whether the annotation is marked as the right one."""


def read_votes(row: Any) -> list[Vote]:
    """Return the votes of a task that `export_reading` returned.

    Raise InvalidRowError if the row is no such task.
    """
    if not isinstance(row, dict) or "votes" not in row:
        raise InvalidRowError("missing_annotations")
    return [Vote(*vote) for vote in row["votes"]]


def merge_votes(row: Mapping[str, Any], votes: Sequence[Vote]) -> dict[str, Any]:
    """Return the task's data with the answer that counts as `$answer`.

    If annotations are marked as ground truth, only these count. `mean` is the mean rating or
    number to 4 decimals; otherwise the answer with most votes wins. Raise InvalidRowError if
    nobody answered or if no answer has the most votes.
    """
    if not isinstance(row.get("data"), dict):
        raise InvalidRowError("missing_data")
    if not votes:
        raise InvalidRowError("not_annotated")
    answers = [vote.answer for vote in votes if vote.ground_truth] or [v.answer for v in votes]
    if row["reading"] == "mean":
        return {**row["data"], ANSWER: f"{round(fmean(map(float, answers)), 4):.15g}"}
    (winner, count), *others = Counter(answers).most_common(2)
    if others and others[0][1] == count:
        remedy = "mark one as ground truth"
        remedy += ", or set annotation: mean" if row["reading"] == "majority" else ""
        raise InvalidRowError("annotators_disagree", detail=f"no answer has most votes; {remedy}")
    return {**row["data"], **_format_answer(row, winner)}


def _format_answer(row: Mapping[str, Any], answer: str) -> dict[str, str]:
    """Return the columns of the answer: slots or tags of spans, both texts of a comparison."""
    reading = row["reading"]
    if reading == "pairwise":
        sides = ("left", "right") if answer == "left" else ("right", "left")
        return {ANSWER: row[sides[0]], REJECTED: row[sides[1]]}
    if reading in spans.WRITERS:
        found = [(start, end, label) for start, end, label in orjson.loads(answer)]
        return {ANSWER: spans.WRITERS[reading](found, row["text"])}
    return {ANSWER: answer}
