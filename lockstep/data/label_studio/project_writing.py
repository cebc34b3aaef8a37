"""Annotation projects for Label Studio: records as tasks, and the labelling interface for them.

A task has the answer that the record has today as a prediction, which annotators correct. A
comparison has none, since it would tell the better answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from lockstep.records import Record, parse_labels

CONTROL = "label"
"""Name of the control in all interfaces."""

INTERFACES = {
    "choice": """<View>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single" showInLine="true">
{labels}
  </Choices>
</View>
""",
    "choices": """<View>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="multiple" showInLine="true">
{labels}
  </Choices>
</View>
""",
    "spans": """<View>
  <Labels name="label" toName="text">
{labels}
  </Labels>
  <Text name="text" value="$text"/>
</View>
""",
    "comparison": """<View>
  <Text name="text" value="$text"/>
  <Text name="left" value="$left"/>
  <Text name="right" value="$right"/>
  <Pairwise name="label" toName="left,right"/>
</View>
""",
    "reply": """<View>
  <Text name="text" value="$text"/>
  <TextArea name="label" toName="text" rows="6" editable="true" maxSubmissions="1"/>
</View>
""",
}
"""Labelling interface of each form."""

MAX_CHOICES = 100
"""Maximum number of different answers that `guess_form` takes for labels."""


def guess_form(rows: Sequence[Record]) -> str:
    """Return the form that suits the answers of the records."""
    if all(row.rejected is not None for row in rows):
        return "comparison"
    answers = {row.answer for row in rows}
    if all(_read_slots(answer) is not None for answer in answers):
        return "spans"
    if all(answer.startswith("[") and parse_labels(answer) != [answer] for answer in answers):
        return "choices"
    is_labelled = len(answers) <= min(MAX_CHOICES, max(2, len(rows) // 2))
    return "choice" if is_labelled else "reply"


def make_tasks(rows: Iterable[Record], form: str) -> list[dict[str, Any]]:
    """Return records as tasks to import into Label Studio."""
    return [_make_task(row, form) for row in rows]


def make_interface(rows: Iterable[Record], form: str) -> str:
    """Return the XML of the labelling interface, with the labels that occur in the records."""
    tag = "Label" if form == "spans" else "Choice"
    labels = sorted({label for row in rows for label in _LIST_LABELS[form](row)})
    lines = "\n".join(f"    <{tag} value={quoteattr(label)}/>" for label in labels)
    return INTERFACES[form].format(labels=lines)


def _make_task(row: Record, form: str) -> dict[str, Any]:
    data = {"text": row.question, "record": row.id, "task": row.task, **row.slices}
    if form == "comparison":
        sides = (row.answer, row.with_rejected().answer)
        left, right = sides if int(row.id, 16) % 2 else sides[::-1]  # the side reveals nothing
        return {"data": data | {"left": left, "right": right}}
    results = [
        {"from_name": CONTROL, "to_name": "text", "type": kind, "value": value}
        for kind, value in _make_values(row, form)
    ]
    return {"data": data, "predictions": [{"model_version": "today", "result": results}]}


def _make_values(row: Record, form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the type and the value of each result in the prediction."""
    if form == "reply":
        yield "textarea", {"text": [row.answer]}
    elif form == "spans":
        for label, part in _find_slots(row):
            start = row.question.find(part)
            if start >= 0:
                bounds = {"start": start, "end": start + len(part)}
                yield "labels", {**bounds, "text": part, "labels": [label]}
    else:
        yield "choices", {"choices": parse_labels(row.answer)}


def _find_slots(row: Record) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each slot."""
    for label, value in (_read_slots(row.answer) or {}).items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, str) and part:
                yield label, part


def _read_slots(answer: str) -> Mapping[str, Any] | None:
    """Return the JSON object in an answer, or None."""
    try:
        value = orjson.loads(answer) if answer.startswith("{") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


_LIST_LABELS: dict[str, Callable[[Record], Iterable[str]]] = {
    "choice": lambda row: [row.answer],
    "choices": lambda row: parse_labels(row.answer),
    "spans": lambda row: [label for label, _ in _find_slots(row)],
    "comparison": lambda row: [],
    "reply": lambda row: [],
}
"""Labels of a record for each form."""
