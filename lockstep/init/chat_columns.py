"""The columns by which files with one turn per row, and with chats in one text, are recognized."""

from collections.abc import Callable, Sequence
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import field_synonyms, rendered_chats, transcripts
from lockstep.data.rows.column_names import CONVERSATION_COLUMNS, PARENT_COLUMNS
from lockstep.data.rows.turn_parsing import ROLES
from lockstep.data.rows.turn_rows import ID_COLUMNS
from lockstep.data.sources import Source

MAX_ROWS = 100
"""Maximum number of rows that are read to recognize chats in one text."""
_SHARE = 0.98
"""Minimum share of the values of a column that must be acceptable."""
_TEXTS = ("messages", "conversations", "conversation", "dialogue", "chat", "text", "content")
"""Names of columns with a chat in one text, the most common first."""

Row = dict[str, Any]


def match_turns(rows: Sequence[Row]) -> dict[str, str] | None:
    """Return the column that joins turns to a conversation; None if rows are no turns.

    Such a row has a role and a text under the names that turns give them, and the rows share
    conversations, or name the turn before them.
    """
    has_role = any(_fits(rows, name, _is_role) for name in field_synonyms.ROLE_KEYS)
    has_text = any(_fits(rows, name, _is_text) for name in field_synonyms.CONTENT_KEYS)
    if not (has_role and has_text):
        return None
    names = {name for row in rows for name in row}
    parents = [name for name in PARENT_COLUMNS if name in names]
    if parents and not names.isdisjoint(ID_COLUMNS):
        return {"parent": parents[0]}
    for name in CONVERSATION_COLUMNS:
        values = [str(row[name]) for row in rows if row.get(name) not in (None, "")]
        if len({*values}) < len(values) == len(rows):
            return {"conversation": name}
    return None


def match_chat_texts(rows: Sequence[Row]) -> dict[str, str] | None:
    """Return the column of chats in one text; None if there is none."""
    first = rows[:MAX_ROWS]
    names = [name for name in _TEXTS if _fits(first, name, _is_chat)]
    return {"messages": names[0]} if names else None


def _fits(rows: Sequence[Row], name: str, accepts: Callable[[Any], bool]) -> bool:
    """Whether nearly all values of a column are acceptable, and there are some."""
    values = [row[name] for row in rows if row.get(name) not in (None, "")]
    return bool(values) and sum(map(accepts, values)) >= _SHARE * len(values)


def _is_role(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in ROLES


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_chat(value: Any) -> bool:
    """Whether a text holds turns of the user and of the assistant."""
    if not isinstance(value, str):
        return False
    if turns := rendered_chats.split_turns(value):
        return {"user", "assistant"} <= {ROLES.get(turn["role"].lower()) for turn in turns}
    source = Source(path="a.jsonl", format="messages")
    try:
        transcripts.parse_conversation(value, "messages", source)
    except InvalidRowError:
        return False
    return True
