"""Checks that the settings of a source fit its format and each other."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from lockstep.data import file_reading
from lockstep.data.source_formats import (
    CODED_FORMATS,
    COMMON_FIELDS,
    COMPARISON_FIELDS,
    CONLL_SUFFIXES,
    LABEL_FIELDS,
    LABEL_FORMATS,
    LABELLED_FORMATS,
    TEXT_FIELDS,
)

if TYPE_CHECKING:
    from lockstep.data.sources import Source


def check_settings(source: "Source") -> None:
    """Raise ValueError if a setting belongs to another format, or if one is missing."""
    _check_label_columns(source)
    known = tuple(dict.fromkeys([*source.fields, *COMMON_FIELDS]))
    _refuse_unknown("columns", source.columns, known, f"no field of {source.format}")
    texts = tuple(name for name in known if name in TEXT_FIELDS)
    _refuse_unknown("templates", source.templates, texts, f"no text field of {source.format}")
    for name in source.templates:
        if name in source.columns:
            raise ValueError(f"templates: columns names {name} too; remove one of them")
    for setting, formats in (("labels", LABELLED_FORMATS), ("label_names", CODED_FORMATS)):
        if getattr(source, setting) and source.format not in formats:
            raise ValueError(f"{setting}: only {', '.join(formats)} have labels")
    _check_comparison(source)
    if bool(source.path) == bool(source.hub):
        raise ValueError("name path or hub, one of them")
    if source.control and source.format != "label_studio":
        raise ValueError("control: only label_studio has it")
    is_tagged = source.format == "spans" and source.annotation == "tags"
    if source.annotation and source.format != "label_studio" and not is_tagged:
        raise ValueError("annotation: only label_studio has it, and spans has tags")
    if source.ends and source.format != "spans":
        raise ValueError("ends: only spans has them")
    if file_reading.file_suffix(source.path) in CONLL_SUFFIXES and source.format != "spans":
        raise ValueError(
            "path: .txt and .conll files are CoNLL's, which need format: spans; "
            f"{file_reading.RENAMING}"
        )
    if source.format == "turns" and not (source.sets("conversation") or source.sets("parent")):
        raise ValueError(
            "columns: turns needs conversation, the column whose value the turns of a "
            "conversation share, or parent, that of the turn before"
        )
    if source.turn_separator and source.format not in ("messages", "sharegpt"):
        raise ValueError("turn_separator: only messages and sharegpt have it")
    if source.functions and source.format != "bfcl":
        raise ValueError("functions: only bfcl has functions of classes")


def _check_label_columns(source: "Source") -> None:
    """Raise ValueError if a source has a column for each label and another one for labels."""
    if not source.label_columns:
        return
    if source.format not in LABEL_FORMATS:
        raise ValueError(f"label_columns: only {' and '.join(LABEL_FORMATS)} have them")
    if any(map(source.sets, LABEL_FIELDS)):
        raise ValueError("label_columns: columns or templates name the labels too; remove these")


def _check_comparison(source: "Source") -> None:
    """Raise ValueError if the settings of two compared answers do not fit each other."""
    if source.format != "preference":
        return
    named = [name for name in COMPARISON_FIELDS if source.sets(name)]
    if named and len(named) < len(COMPARISON_FIELDS):
        raise ValueError(f"columns: {' and '.join(COMPARISON_FIELDS)} belong together")
    names = {*source.label_names.values()}
    if names and not (named and names <= {"a", "b", "tie"}):
        raise ValueError("label_names: preference needs columns: {winner: …}, and a, b or tie")


def _refuse_unknown(
    setting: str, names: Collection[str], known: Collection[str], problem: str
) -> None:
    """Raise ValueError if a setting has a name that is not known."""
    for name in names:
        if name not in known:
            raise ValueError(f"{setting}: {name} is {problem}; known: {', '.join(known) or 'none'}")
