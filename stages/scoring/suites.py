"""What is measured: the records of each task, and how their answers are obtained and compared."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.errors import Refusal
from stages.params import Section
from stages.records import Record
from stages.scoring import refusals, rules, scores
from stages.scoring.metrics import METRICS
from stages.scoring.scores import Score

Answer = Literal[
    "choice", "json", "text", "preference", "refusal", "rules", "label", "labels", "number"
]
NUMBERS = ("label", "labels", "number")
"""Answers of a model that ends in numbers; the others are written, or compared as text."""
WRITTEN = ("json", "text", "refusal", "rules")
"""Answers that a model writes freely."""
RESERVED = ("perplexity", "bits_per_byte", "unscored", "harness", "retrieval")
"""What stands beside the suites in metrics.json: no task has such a name."""
JUDGED = ("refusal", "rules")
"""Answers whose expected one says how to judge them, and is none that a model should give."""

SCORES: dict[Answer, Score] = {
    "choice": scores.same,
    "json": scores.same_json,
    "text": scores.rouge_l,
    "preference": scores.same,
    "refusal": refusals.right,
    "rules": rules.all_followed,
    "label": scores.same,
    "labels": scores.same_json,
    "number": scores.closeness,
}
"""How right a single answer is, 0 to 1."""


class Suite(Section):
    """The records of one task, how their answers are obtained, and the figures of them."""

    task: str
    answer: Answer
    """choice: the likeliest label; json and text: generated, compared as such; preference: the
    better of two answers; refusal, rules: generated, judged by whether they refuse and by the rules
    that the expected answer lists; label, labels, number: of a classification or regression."""
    metrics: Annotated[list[str], Field(min_length=1)]
    """Names of scoring.metrics.METRICS."""

    @model_validator(mode="after")
    def _fitting(self) -> "Suite":
        known = list(METRICS[self.answer])
        for name in self.metrics:
            if name not in known:
                raise ValueError(
                    f"metrics: {name} is no figure of {self.answer} answers; "
                    f"known: {', '.join(known)}"
                )
        return self


def by_suite(
    rows: Sequence[Record], suites: Sequence[Suite], labels: Mapping[str, Sequence[str]]
) -> dict[str, list[Record]]:
    """The records of each suite; Refusal where one has none, or none of the kind it needs."""
    tasks = [suite.task for suite in suites]
    taken = sorted(set(tasks) & set(RESERVED))
    if len(set(tasks)) < len(tasks) or taken:
        names = ", ".join(taken or RESERVED)
        raise Refusal(f"params.yaml: evaluate.suites: name each task once, and none {names}")
    parts = {suite.task: [row for row in rows if row.task == suite.task] for suite in suites}
    for suite in suites:
        where, own = "params.yaml: evaluate.suites:", parts[suite.task]
        if not own:
            raise Refusal(
                f"{where} no test record has task {suite.task}; the tasks are "
                f"{', '.join(sorted({row.task for row in rows}))}"
            )
        if suite.answer in ("choice", "label", "labels") and suite.task not in labels:
            raise Refusal(
                f"{where} task {suite.task} has no labels to choose from; set its answer to json "
                "or text"
            )
        if suite.answer == "preference" and any(row.rejected is None for row in own):
            raise Refusal(
                f"{where} task {suite.task} has records without a rejected answer; set its answer "
                "to json or text"
            )
        if suite.answer == "number" and not all(scores.is_number(row.answer) for row in own):
            raise Refusal(
                f"{where} task {suite.task} has answers that are no number; set its answer to json "
                "or text"
            )
        if suite.answer in JUDGED:
            for row in own:
                _check_judged(row, suite)
    return parts


def _check_judged(row: Record, suite: Suite) -> None:
    """Refusal, with the place of the record, of what no answer could be judged by."""
    if suite.answer == "rules":
        try:
            rules.parsed(row.answer)
        except Refusal as refusal:
            raise Refusal(f"{row.origin}: {refusal.message}") from None
    elif row.answer not in refusals.LABELS:
        raise Refusal(
            f"{row.origin}: task {suite.task} asks for refusals: its labels are "
            f"{' and '.join(refusals.LABELS)}, not {row.answer[:40]!r}; correct it"
        )
