"""Controls of Label Studio (the questions of a project): their kinds, and the one that is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.sources import Source
from lockstep.errors import UserError

KINDS = {
    "choices": "choices",
    "taxonomy": "choices",
    "rating": "rating",
    "number": "number",
    "textarea": "text",
    "datetime": "text",
    "pairwise": "pairwise",
    "labels": "spans",
    "paragraphlabels": "spans",
}
"""Kind of question of each type of result that can be read."""

TYPES_BY_KEY = {
    "choices": "choices",
    "taxonomy": "taxonomy",
    "rating": "rating",
    "number": "number",
    "selected": "pairwise",
    "datetime": "datetime",
    "labels": "labels",
    "paragraphlabels": "paragraphlabels",
    "text": "textarea",  # the last one, since spans have a text too
}
"""Type of a result without one, by a key of its value."""

READINGS = {
    "choices": ("labels", "text"),
    "rating": ("mean",),
    "number": ("mean",),
    "text": (),
    "pairwise": (),
    "spans": ("tags", "utterances"),
}
"""Settings of `annotation` that each kind of question allows."""


@dataclass(slots=True)
class Annotation:
    """The results of one annotator in one task."""

    annotator: str
    ground_truth: bool
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Values by the name of their control."""


@dataclass(slots=True)
class ExportedTask:
    """A task of an export."""

    id: str
    data: dict[str, Any]
    annotations: list[Annotation]


class Control(NamedTuple):
    """The control that is read."""

    name: str
    type: str
    """Type of its results, e.g. choices."""
    kind: str
    """Kind of question, see `KINDS`."""
    reading: str
    """Form of the answers in records: label, labels, majority, mean, text, pairwise, slots, tags
    or utterances."""

    @property
    def question_type(self) -> str:
        """Type of the question as `Vote` names it."""
        if self.reading == "text":
            return "text"
        return "several_choices" if self.reading in ("labels", "utterances") else self.kind


def choose_control(
    tasks: Sequence[ExportedTask], types: Mapping[str, str], source: Source, place: str
) -> Control | None:
    """Return the control that the source names, or the only one; None if nobody answered any.

    `types` maps the names of the controls to the types of their results. Raise UserError if the
    control is not there, is one of several, or cannot be read.
    """
    if not types:
        return None
    name = source.control or next(iter(types))
    if name not in types or (not source.control and len(types) > 1):
        problem = f"no control {source.control}" if source.control else "several controls"
        raise UserError(f"{place}: {problem}; set control to one of: {list_controls(types)}")
    kind = KINDS.get(types[name], "")
    if not kind:
        raise UserError(
            f"{place}: control {name} is of type {types[name]}, which cannot be read; set control "
            f"to one of these types: {', '.join(KINDS)}"
        )
    values = [value for task in tasks for value in collect_values(task, name)]
    if kind != "spans" and any("start" in value for value in values):
        raise UserError(
            f"{place}: the answers to control {name} belong to parts of the text; set control to "
            "one that is answered once for each task"
        )
    return Control(name, types[name], kind, _choose_reading(name, types[name], values, source))


def find_type(name: Any, value: Mapping[str, Any]) -> str:
    """Return the type of a result: its name in lower case, otherwise that of its value."""
    if isinstance(name, str) and name:
        return name.lower()
    known = (kind for key, kind in TYPES_BY_KEY.items() if key in value)
    others = (key for key in value if key.endswith("labels"))  # e.g. rectanglelabels
    return next(known, "") or next(others, "unknown")


def read_answer(control: Control, values: Sequence[Mapping[str, Any]]) -> str:
    """Return the answer in the values of a control that is answered once; empty if there is none.

    Several choices are a sorted JSON list; several texts are lines.
    """
    if control.reading == "text" or control.kind == "text":
        return "\n".join(text for value in values for text in _list_texts(value))
    if control.kind == "choices":
        names = sorted({name for value in values for name in list_choices(value)})
        return (
            orjson.dumps(names).decode()
            if control.reading == "labels" and names
            else "".join(names)
        )
    for value in values:
        answer = value.get("selected" if control.kind == "pairwise" else control.kind)
        if control.kind == "pairwise" and answer not in ("left", "right", None):
            raise InvalidRowError(
                "side_not_left_or_right", detail=f"{answer!r} says neither which text is better"
            )
        if answer is not None:
            return answer if control.kind == "pairwise" else _format_number(answer, control.kind)
    return ""


def collect_values(task: ExportedTask, name: str) -> Iterable[dict[str, Any]]:
    """Yield the values of a control in all annotations of a task."""
    for annotation in task.annotations:
        yield from annotation.results.get(name, ())


def list_controls(types: Mapping[str, str]) -> str:
    """Return "mood (choices), remark (textarea)"."""
    return ", ".join(f"{name} ({types[name]})" for name in sorted(types))


def list_choices(value: Mapping[str, Any]) -> list[str]:
    """Return the different choices in a value, sorted; a choice of a taxonomy is its path a/b."""
    paths = value.get("taxonomy")
    if isinstance(paths, list):
        names = ["/".join(map(str, path)) for path in paths if isinstance(path, list) and path]
    else:
        choices = value.get("choices")
        names = [*choices] if isinstance(choices, list) else [str(choices or "")]
    return sorted({name for name in names if isinstance(name, str) and name})


def _format_number(value: Any, kind: str) -> str:
    """Return a rating or number with 15 significant digits at most."""
    try:
        return f"{float(value):.15g}"
    except (TypeError, ValueError, OverflowError):
        raise InvalidRowError(f"{kind}_not_a_number", detail=f"it is {value!r}") from None


def _list_texts(value: Mapping[str, Any]) -> list[str]:
    """Return the texts of a text area, a date or, in JSON-MIN, a choice."""
    texts: Any = next((value[key] for key in ("text", "datetime", "choices") if key in value), [])
    texts = texts if isinstance(texts, list) else [texts]
    return [text for text in texts if isinstance(text, str) and text]


def _choose_reading(
    name: str, type_name: str, values: Iterable[Mapping[str, Any]], source: Source
) -> str:
    """Return the form of the answers in records; raise UserError if `annotation` does not fit."""
    kind, setting = KINDS[type_name], source.annotation
    is_allowed = setting in ("", *READINGS[kind])
    if not is_allowed or (setting == "utterances" and type_name != "paragraphlabels"):
        allowed = [f"`{reading}`" for reading in READINGS[kind]]
        raise UserError(
            f"prepare.sources: {source.location}: annotation: {setting} does not fit control "
            f"{name} ({type_name}); leave it out"
            + (f" or use {' or '.join(allowed)}" if allowed else "")
        )
    if setting:
        return setting
    if kind == "choices":
        return "labels" if any(len(list_choices(value)) > 1 for value in values) else "label"
    defaults = {"rating": "majority", "number": "majority", "spans": "slots"}
    return defaults.get(kind, kind)
