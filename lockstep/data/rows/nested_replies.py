"""Trees of turns, each with its replies inside it: a tree gives its best-ranked thread.

The files of OpenAssistant whose names end in `.trees.jsonl` have the root in the column `prompt`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.data.files.json_rows import ARRAY_COLUMN
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows.field_synonyms import REPLY_KEYS
from lockstep.data.rows.row_fields import Row
from lockstep.data.rows.turn_trees import is_deleted, read_rank


def is_tree(value: Any) -> bool:
    """Whether a value is a turn that holds the list of its replies."""
    return isinstance(value, dict) and any(isinstance(value.get(key), list) for key in REPLY_KEYS)


def find_column(rows: Sequence[Row]) -> str | None:
    """Return the column with the trees of some rows; `row` if the rows are trees themselves."""
    if rows and all(map(is_tree, rows)):
        return ARRAY_COLUMN
    return next((name for name in (rows[0] if rows else ()) if is_tree(rows[0][name])), None)


def follow_best(tree: Row) -> tuple[list[Row], int]:
    """Return the turns of the thread with the best replies, and the number of all turns.

    Each turn is followed by the reply of the lowest rank, and by the first one if they have none.
    Turns that are deleted count, but they are left out with their replies.
    """
    number = sum(1 for _ in _walk(tree))
    thread: list[Row] = []
    turns = [tree]
    while turns := [turn for turn in turns if not is_deleted(turn)]:
        best = min(turns, key=lambda turn: read_rank(turn.get("rank")))
        thread.append({key: value for key, value in best.items() if key not in REPLY_KEYS})
        turns = _list_replies(best)
    if not thread:
        raise InvalidRowError("turn_is_deleted", detail="the first turn of the tree is deleted")
    return thread, number


def _walk(tree: Row) -> Iterator[Row]:
    waiting = [tree]
    while waiting:
        turn = waiting.pop()
        yield turn
        waiting += _list_replies(turn)


def _list_replies(turn: Row) -> list[Row]:
    """Return the replies of a turn; raise InvalidRowError if one of them is no object."""
    replies = [reply for key in REPLY_KEYS for reply in turn.get(key) or []]
    for reply in replies:
        if not isinstance(reply, dict):
            raise InvalidRowError("turn_not_an_object", detail=f"a reply is {show_value(reply)}")
    return replies
