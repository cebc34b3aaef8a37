"""Notes on rows that become records as they are, though something in them may be a mistake.

`prepare` counts them by kind, in a line with the first one and in the data card.
"""

from lockstep.data.rows import field_synonyms, learnt_turns
from lockstep.data.rows.row_fields import Row
from lockstep.data.source_formats import COMMON_FIELDS, TEXT_FIELDS
from lockstep.data.sources import Source

NEGATIVE_MARGIN, PLACEHOLDER = "negative_margin", "placeholder_text"

_ARGUMENTS_REMEDY = "prepare.mismatched_arguments: reject leaves such rows out"
_DESCRIPTIONS = {
    learnt_turns.UNKNOWN: f"call a function with an argument that it lacks; {_ARGUMENTS_REMEDY}",
    learnt_turns.MISSING: f"call a function without a required argument; {_ARGUMENTS_REMEDY}",
    learnt_turns.INVALID: f"call a function with a value that its schema does not allow; "
    f"{_ARGUMENTS_REMEDY}",
    learnt_turns.UNDECLARED: "call a function that they do not declare, as the benchmark has it",
    NEGATIVE_MARGIN: "score the rejected answer higher than the chosen one; leave them out by "
    "where, or correct columns",
    PLACEHOLDER: "have a text that often stands for a missing value, which is learnt; if it does, "
    "leave them out by where",
}
"""Kind of a note -> what the rows do, and the remedy."""

_NO_INPUT = "<noinput>"
"""Text that stands for an empty input in files made after Self-Instruct."""
_PLACEHOLDERS = frozenset([
    "nan", "NaN", "NAN", "none", "None", "NONE", "null", "Null", "NULL", "n/a", "N/A", "#N/A",
    "<NA>", "NaT", _NO_INPUT,
])  # fmt: skip
"""Texts that programs write into tables for a missing value, such as pandas and databases."""
_TABLES = (".csv", ".tsv", ".xlsx")
"""Suffixes of files in which a missing value is a text; others have null."""


class PlaceholderFinder:
    """Finds texts that stand for a missing value in the text columns of a source."""

    def __init__(self, source: Source) -> None:
        """Collect the columns whose values become texts of a record."""
        fields = [name for name in source.fields if name in TEXT_FIELDS]
        fields += [name for name in COMMON_FIELDS if name in TEXT_FIELDS and source.sets(name)]
        systems = field_synonyms.SYSTEM if source.is_conversational else ()
        columns = [*map(source.get_column, fields), *source.template_columns, *systems]
        self.columns = tuple(dict.fromkeys(columns))

    def find(self, row: Row, origin: str) -> dict[str, str]:
        """Return a note with the first such text of a row; `origin` is the place of the row."""
        try:
            if _PLACEHOLDERS.isdisjoint(map(row.get, self.columns)):  # fast: most rows end here
                return {}
        except TypeError:  # a list or an object, as no cell of a table is
            return {}
        for column in self.columns:
            text = row.get(column)
            if text == _NO_INPUT or (text in _PLACEHOLDERS and _is_in_table(origin)):
                return {PLACEHOLDER: f"{column} is {text}"}
        return {}


def find_negative_margin(margin: float) -> dict[str, str]:
    """Return a note if the rejected answer of a preference has a higher score."""
    return {NEGATIVE_MARGIN: f"the margin is {margin:g}"} if margin < 0 else {}


def describe_note(kind: str, count: int, first: str) -> str:
    """Return the line about all rows of a source with one kind of note."""
    noun = "row has" if count == 1 else "rows have"
    return f"{count} {noun} {kind}: they {_DESCRIPTIONS[kind]} (first {first})"


def _is_in_table(origin: str) -> bool:
    return any(suffix in origin.lower() for suffix in _TABLES)
