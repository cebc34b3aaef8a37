"""Check that the references of the test records fit the answer form of their suite.

predict runs these checks before it loads a model; evaluate relies on them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.data import json_schemas, tool_schemas
from lockstep.errors import UserError
from lockstep.metrics import json_answers, refusals, scores, tool_calls
from lockstep.metrics.rules import rule_list
from lockstep.records import Record
from lockstep.suites import LABEL_FORMS, RESERVED, Suite

WHERE = "params.yaml: predict.suites:"
"""Opening of the messages: the place of the mistake."""


def check_suites(
    records: Sequence[Record],
    suites: Sequence[Suite],
    labels: Mapping[str, Sequence[str]],
    other_splits: Mapping[str, Sequence[Record]],
) -> None:
    """Raise UserError if a suite has no test records, or records that do not fit its answer form.

    `labels` are the labels of each task. The references of the other splits are checked as well.
    """
    tasks = [suite.task for suite in suites]
    if len(set(tasks)) < len(tasks):
        raise UserError(f"{WHERE} a task is named twice; name each once")
    if reserved := sorted(set(tasks) & set(RESERVED)):
        raise UserError(f"{WHERE} {', '.join(reserved)}: reserved name; give the task another one")
    for suite in suites:
        task_records = [record for record in records if record.task == suite.task]
        if not task_records:
            known = ", ".join(sorted({record.task for record in records})) or "none"
            raise UserError(f"{WHERE} no test record has task {suite.task}; the tasks are {known}")
        if problem := _find_form_problem(suite, task_records, labels):
            raise UserError(f"{WHERE} task {suite.task} {problem}")
        check_references(suite, task_records)
        for split_records in other_splits.values():
            check_references(
                suite, [record for record in split_records if record.task == suite.task]
            )


def check_references(suite: Suite, records: Sequence[Record]) -> None:
    """Raise UserError, with the record's place, if no answer could match its reference."""
    for record in records:
        _check_reference(record, suite.answer)


def list_warnings(records: Sequence[Record], tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a warning if predict would refuse some of these test records; it may run much later.

    `tasks` is the content of tasks.json.
    """
    messages = []
    for record in records:
        try:
            _check_reference(record, tasks[record.task]["kind"])
        except UserError as error:
            messages.append(error.message)
    if not messages:
        return []
    return [f"predict will refuse {len(messages)} of {len(records)} test records: {messages[0]}"]


def _find_form_problem(
    suite: Suite, records: Sequence[Record], labels: Mapping[str, Sequence[str]]
) -> str | None:
    """Return the reason why the answer form does not fit and the remedy; None if it fits."""
    form = suite.answer
    if form in LABEL_FORMS and suite.task not in labels:
        return "has no labels to choose from; set its answer to json or text"
    if form == "preference" and any(record.rejected is None for record in records):
        return "has records without a rejected answer; set its answer to json or text"
    if form == "calls" and not any(record.tools for record in records):
        return "has no record that offers tools to call; set its answer to json or text"
    if form == "calls" and all(
        tool_calls.parse_reference(record.reference) == [] for record in records
    ):
        return (
            "has no record that expects a call, so a model that never calls would be perfect; "
            "set its answer to text"
        )
    if form in ("number", "written_number") and not all(
        scores.is_number(record.answer) for record in records
    ):
        return "has references that are not numbers; set its answer to json or text"
    return None


def _check_reference(record: Record, form: str) -> None:
    if form == "rules":
        _check_rules(record)
    elif form == "refusal":
        _check_refusal(record)
    elif form == "calls":
        _check_calls(record)
    elif form == "json" and not _is_json(record.answer):
        raise UserError(
            f"{record.origin}: task {record.task}: the reference {record.answer[:40]!r} is not "
            "JSON, so no answer can be right; correct it, or set the suite's answer to text"
        )


def _is_json(text: str) -> bool:
    return json_answers.parse_json(text) is not json_answers.INVALID


def _check_rules(record: Record) -> None:
    try:
        rule_list.parse_rules(record.answer)
    except UserError as error:
        raise UserError(f"{record.origin}: {error.message}") from None


def _check_refusal(record: Record) -> None:
    if record.answer not in refusals.LABELS:
        raise UserError(
            f"{record.origin}: task {record.task} asks for refusals: its labels are "
            f"{' and '.join(refusals.LABELS)}, not {record.answer[:40]!r}; correct it"
        )


def _check_calls(record: Record) -> None:
    """Check that the expected calls can be read and that the tools' schemas are valid."""
    if tool_calls.parse_reference(record.reference) is None:
        raise UserError(
            f"{record.origin}: task {record.task}: the reference {record.answer[:40]!r} is a call "
            "that cannot be read, so no answer can be right; correct it"
        )
    for tool in record.tools:
        function = tool["function"]
        try:
            json_schemas.check_schema(tool_schemas.normalize_parameters(function.get("parameters")))
        except ValueError as error:
            raise UserError(
                f"{record.origin}: tools: {function['name']}: parameters: {error}; correct it"
            ) from None
