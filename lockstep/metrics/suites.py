"""What is measured: the records of each task, and how their answers are obtained and compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lockstep.errors import UserError
from lockstep.metrics import (
    classification,
    json_schemas,
    refusals,
    registry,
    rules,
    scores,
    tool_calls,
)
from lockstep.metrics.aggregation import Metric
from lockstep.metrics.scores import Score
from lockstep.params import Section
from lockstep.predictions import Prediction
from lockstep.records import Record

Answer = Literal[
    "choice",
    "written_label",
    "json",
    "calls",
    "text",
    "preference",
    "refusal",
    "rules",
    "label",
    "labels",
    "number",
]
NUMBERS = ("label", "labels", "number")
"""Answers of a model that ends in numbers; the others are written, or compared as text."""
CHOSEN = ("choice", "label", "labels")
"""Answers out of the labels of a task."""
WRITTEN = ("written_label", "json", "calls", "text", "refusal", "rules")
"""Answers that a model writes freely."""
RESERVED = ("perplexity", "bits_per_byte", "harness", "retrieval")
"""What stands beside the suites in metrics.json: no task has such a name."""
JUDGED = ("refusal", "rules")
"""Answers whose expected one says how to judge them, and is none that a model should give."""

SCORES: dict[Answer, Score] = {
    "choice": scores.same,
    "written_label": classification.same,
    "json": scores.same_json,
    "calls": tool_calls.same,
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
    """choice: the likeliest label; written_label, json, calls (of the functions that a record
    offers), text: generated, compared as such; preference: the better of two answers; refusal,
    rules: generated, judged by whether they refuse and by the rules that the expected answer
    lists; label, labels, number: of a classification or regression."""
    metrics: Annotated[list[str], Field(min_length=1)]
    """Names of scoring.metrics.METRICS."""
    json_schema: dict[str, Any] | None = None
    """JSON Schema that json answers are to keep: the figure schema_valid."""

    @model_validator(mode="after")
    def _fitting(self) -> "Suite":
        if self.json_schema is not None:
            if self.answer != "json":
                raise ValueError(f"json_schema: belongs to json answers, not to {self.answer}")
            try:
                json_schemas.check(self.json_schema)
            except ValueError as error:
                raise ValueError(f"json_schema: {error}") from None
        known = registry.of(self.answer, self.json_schema)
        if others := [name for name in self.metrics if name not in known]:
            lacks_schema = self.answer == "json" and others == ["schema_valid"]
            needs = " without a json_schema" if lacks_schema else ""
            raise ValueError(
                f"metrics: {', '.join(others)}: no figure of {self.answer} answers{needs}; "
                f"known: {', '.join(known)}"
            )
        if len({*self.metrics}) < len(self.metrics):
            raise ValueError("metrics: name each once")
        return self

    @property
    def figures(self) -> dict[str, Metric]:
        """Those that are asked for, the main one first."""
        known = registry.of(self.answer, self.json_schema)
        return {name: known[name] for name in self.metrics}


def check(
    rows: Sequence[Record], suites: Sequence[Suite], labels: Mapping[str, Sequence[str]]
) -> None:
    """UserError where a suite has no records, or none of the kind it needs."""
    tasks = [suite.task for suite in suites]
    taken = sorted(set(tasks) & set(RESERVED))
    if len(set(tasks)) < len(tasks) or taken:
        names = ", ".join(taken or RESERVED)
        raise UserError(f"params.yaml: evaluate.suites: name each task once, and none {names}")
    for suite in suites:
        where = "params.yaml: evaluate.suites:"
        own = [row for row in rows if row.task == suite.task]
        if not own:
            raise UserError(
                f"{where} no test record has task {suite.task}; the tasks are "
                f"{', '.join(sorted({row.task for row in rows})) or 'none'}"
            )
        if suite.answer in CHOSEN and suite.task not in labels:
            raise UserError(
                f"{where} task {suite.task} has no labels to choose from; set its answer to json "
                "or text"
            )
        if suite.answer == "preference" and any(row.rejected is None for row in own):
            raise UserError(
                f"{where} task {suite.task} has records without a rejected answer; set its answer "
                "to json or text"
            )
        if suite.answer == "calls" and not any(row.tools for row in own):
            raise UserError(
                f"{where} task {suite.task} has no record that offers tools to call; set its "
                "answer to json or text"
            )
        if suite.answer == "calls" and all(tool_calls.parsed(row.answer) == [] for row in own):
            raise UserError(
                f"{where} task {suite.task} has no record that expects a call, so that a model "
                "that never calls would be perfect; set its answer to text"
            )
        if suite.answer == "number" and not all(scores.is_number(row.answer) for row in own):
            raise UserError(
                f"{where} task {suite.task} has answers that are no number; set its answer to json "
                "or text"
            )
        check_records(suite, own)


def check_records(suite: Suite, rows: Sequence[Record]) -> None:
    """UserError, with its place, of a record of the suite that no answer could be judged by."""
    for row in rows:
        if suite.answer in JUDGED:
            _check_judged(row, suite)
        elif suite.answer == "calls":
            _check_calls(row)
        elif suite.answer == "json" and scores.parsed(row.answer) is scores.INVALID:
            raise UserError(
                f"{row.origin}: task {suite.task}: the expected answer {row.answer[:40]!r} is "
                "no JSON, so that none is right; correct it, or set the suite's answer to text"
            )


def check_answers(
    answers: Mapping[str, Sequence[Prediction]], suites: Sequence[Suite], evaluated: Path
) -> None:
    """UserError of a variant's answers that were obtained otherwise than the suites ask."""
    asked = {suite.task: suite.answer for suite in suites}
    for name, row in ((name, row) for name, rows in answers.items() for row in rows):
        if row.task in asked and row.answer_form != asked[row.task]:
            raise UserError(
                f"{evaluated / name}: task {row.task} was answered by "
                f"{row.answer_form or 'nothing'}, "
                f"and params.yaml asks for {asked[row.task]}; `dvc repro`"
            )


def _check_calls(row: Record) -> None:
    """UserError, with the place of the record, of an expected call that cannot be read, and of
    functions whose arguments nothing can be held against."""
    if tool_calls.parsed(row.answer) is None:
        raise UserError(
            f"{row.origin}: task {row.task}: the expected answer {row.answer[:40]!r} is no call "
            "that could be read, so that none is right; correct it"
        )
    for tool in row.tools:
        function = tool["function"]
        try:
            json_schemas.check(function.get("parameters") or {})
        except ValueError as error:
            raise UserError(
                f"{row.origin}: tools: {function['name']}: parameters: {error}; correct it"
            ) from None


def _check_judged(row: Record, suite: Suite) -> None:
    """UserError, with the place of the record, of what no answer could be judged by."""
    if suite.answer == "rules":
        try:
            rules.parsed(row.answer)
        except UserError as refusal:
            raise UserError(f"{row.origin}: {refusal.message}") from None
    elif row.answer not in refusals.LABELS:
        raise UserError(
            f"{row.origin}: task {suite.task} asks for refusals: its labels are "
            f"{' and '.join(refusals.LABELS)}, not {row.answer[:40]!r}; correct it"
        )
