"""Columns that a source adds to its rows: nested values, and texts built from other columns."""

from collections.abc import Collection, Mapping, Sequence
from string import Formatter
from typing import Any

from lockstep.data.files.json_rows import ARRAY_COLUMN
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import column_values

Template = Sequence[tuple[str, str]]
"""Pairs of a literal text and the column whose value follows it; "" at the end."""


def parse_template(text: str) -> Template:
    """Return the parts of a template such as "{title}: {body}"; raise ValueError if it is invalid.

    A brace that is text is doubled. A field is the name of a column or a path into a column.
    """
    try:
        parts = [*Formatter().parse(text)]
    except ValueError:
        raise ValueError(f"{text!r}: a brace does not close; write {{{{ for a brace") from None
    template = []
    for literal, column, specification, conversion in parts:
        if column is not None and (not column or specification or conversion):
            raise ValueError(
                f"{text!r}: only {{column}} may stand in braces; write {{{{ for a brace"
            )
        template.append((literal, column or ""))
    return template


def list_columns(text: str) -> list[str]:
    """Return the columns that a template names."""
    return [column for _, column in parse_template(text) if column]


class DerivedColumns:
    """Adds the columns to a row that the settings of its source derive from others.

    It is false if there is none, so that rows of other sources cost nothing.
    """

    def __init__(self, names: Collection[str], templates: Mapping[str, str]) -> None:
        """Create it from the columns that a source names, and from its templates."""
        self.paths = [name for name in names if "." in name]
        self.with_whole = ARRAY_COLUMN in names
        self.templates = {name: parse_template(text) for name, text in templates.items()}

    def __bool__(self) -> bool:
        """Whether any column is derived."""
        return bool(self.paths or self.templates or self.with_whole)

    def add_to(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row with the derived columns; raise InvalidRowError if a text lacks one."""
        derived = {name: fill_template(parts, row) for name, parts in self.templates.items()}
        for path in self.paths:
            value = column_values.find_value(row, path)
            if value is not column_values.MISSING:
                derived[path] = value
        return add_whole(row | derived) if self.with_whole else row | derived


def add_whole(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the column `row`, which is the row itself unless it has such a column."""
    return row if ARRAY_COLUMN in row else {**row, ARRAY_COLUMN: row}


def fill_template(template: Template, row: dict[str, Any]) -> str:
    """Return the text of a template; raise InvalidRowError if a column is missing or null."""
    return "".join(
        literal + (_read_text(row, column) if column else "") for literal, column in template
    )


def _read_text(row: dict[str, Any], column: str) -> str:
    value = column_values.find_value(row, column)
    text = column_values.write_any_text(value)
    if text is None:
        is_missing = value is column_values.MISSING
        detail = f"templates need {column}; leave the row out by where"
        reason = f"missing_{column}" if is_missing else f"{column}_is_null"
        raise InvalidRowError(reason, detail=detail)
    return text
