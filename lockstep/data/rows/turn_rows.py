"""Rows that hold one turn each, and the row of a conversation that is made of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import field_synonyms, message_parsing, row_fields
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source

TURNS = "$turns"
"""Column with the turns of a joined row."""

ORDER_COLUMNS = (
    *("turn", "turn_id", "turn_index", "turn_number", "turn_no", "order", "position", "sequence"),
    *("utterance_idx", "utterance_index", "utterance_id", "message_index", "round"),
)
"""Columns that may tell the order of turns."""
ID_COLUMNS = ("message_id", "id")
"""Columns that may have the id of a turn, to which a parent refers."""
_OF_TURNS_ALONE = field_synonyms.ROW_FIELDS & field_synonyms.TURN_KEYS
"""Columns that say something about a turn here, though they may be about a row elsewhere."""


class Turn(NamedTuple):
    """A row that holds one turn."""

    place: str
    row: Row


def parse_joined_turns(row: Row, source: Source) -> Conversation:
    """Return the conversation in a joined row."""
    return Conversation(message_parsing.parse_messages(row.get(TURNS), "messages", source))


def read_key(row: Row, source: Source, field: str) -> str:
    """Return the value of a field that says where a turn belongs."""
    return read_column(row, source.get_column(field), field)


def read_column(row: Row, column: str, field: str) -> str:
    """Return the text in a column; raise InvalidRowError without any, which names the field."""
    value = row_fields.get_slice_value(row, column)
    if not value:
        raise InvalidRowError(
            f"missing_{field}",
            show_value(row, 200),
            detail=f"{column} is empty or missing; the row has {', '.join(map(str, row))}",
        )
    return value


def make_row(turns: Sequence[Turn], source: Source) -> Row:
    """Return the row of a conversation: its turns, and the columns that they have."""
    rows = [turn.row for turn in turns]
    row: Row = {}
    for name in dict.fromkeys(name for each in rows for name in each):
        values = [each.get(name) for each in rows]
        if name not in _OF_TURNS_ALONE:
            row[name] = _merge_values(values)
    row[TURNS] = [_make_turn(each, source) for each in rows]
    return row


def _merge_values(values: list[Any]) -> Any:
    """Return the value that all turns have which have one, or the list of their values."""
    distinct = [value for value in values if not row_fields.is_empty(value)]
    if all(value == distinct[0] for value in distinct):
        return distinct[0] if distinct else None
    return values


def _make_turn(row: Row, source: Source) -> Row:
    """Return the keys of a turn in a row; a column that the source names replaces its synonyms."""
    keys = {*field_synonyms.TURN_KEYS}
    turn: Row = {}
    for field, synonyms in (
        ("role", field_synonyms.ROLE_KEYS),
        ("content", field_synonyms.CONTENT_KEYS),
    ):
        if source.sets(field):
            turn[field] = row.get(source.get_column(field))
            keys -= {*synonyms}
    return {name: row[name] for name in row if name in keys} | turn
