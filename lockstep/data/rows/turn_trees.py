"""Trees of turns, as in the flat form of OpenAssistant's data: each gives its best thread."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.data.file_reading import Notes, PlacedRows
from lockstep.data.files.placed_rows import parse_object
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.rows.row_fields import Row
from lockstep.data.rows.turn_rows import ID_COLUMNS, Turn, make_row, read_column, read_key
from lockstep.data.sources import Source


def join_trees(rows: PlacedRows, source: Source, notes: Notes, path: Path) -> PlacedRows:
    """Yield the best thread of each tree: from the root, always the reply of the lowest rank.

    Replies without a rank come after those with one, in the order of the file.
    """
    turns: dict[str, Turn] = {}
    for place, raw_row in rows:
        row = parse_object(raw_row)
        if not isinstance(row, dict):
            yield place, raw_row
            continue
        try:
            key = _read_turn_id(row, source)
            if key in turns:
                raise InvalidRowError(
                    "two_turns_of_one_id", detail=f"{key} is the id of {turns[key].place} too"
                )
            turns[key] = Turn(place, row)
        except InvalidRowError as error:
            error.row = error.row or show_value(row, 200)
            yield place, error
    roots: list[Turn] = []
    replies: dict[str, list[Turn]] = {}
    orphans = 0
    for turn in turns.values():
        parent = row_fields.get_slice_value(turn.row, source.get_column("parent"))
        if parent and parent not in turns:
            orphans += 1
            yield turn.place, _make_orphan_error(turn, parent)
        elif not is_deleted(turn.row):
            (replies.setdefault(parent, []) if parent else roots).append(turn)
    used = 0
    for root in roots:
        thread = [*_follow_best(root, replies, source)]
        used += len(thread)
        yield root.place, make_row(thread, source)
    notes.add(
        path,
        f"{len(turns)} turns: {used} in the best-ranked threads, one of each tree; "
        f"{len(turns) - used - orphans} in other branches, or deleted, are left out",
    )


def _follow_best(root: Turn, replies: dict[str, list[Turn]], source: Source) -> Iterator[Turn]:
    turn: Turn | None = root
    column = source.get_column("rank")
    while turn is not None:
        yield turn
        children = replies.get(_read_turn_id(turn.row, source), [])
        turn = min(children, key=lambda child: read_rank(child.row.get(column)), default=None)


def read_rank(value: Any) -> float:
    """Return the rank of a reply; one without a rank comes last."""
    rank = row_fields.parse_number(value)
    return rank if rank == rank else float("inf")  # NaN


def _read_turn_id(row: Row, source: Source) -> str:
    if source.sets("id"):
        return read_key(row, source, "id")
    column = next((name for name in ID_COLUMNS if name in row), ID_COLUMNS[0])
    return read_column(row, column, "id")


def _make_orphan_error(turn: Turn, parent: str) -> InvalidRowError:
    return InvalidRowError(
        "parent_not_found", show_value(turn.row, 200), detail=f"no turn has the id {parent}"
    )


def is_deleted(row: Row) -> bool:
    """Whether a turn is marked as deleted."""
    return str(row.get("deleted", "")).strip().lower() in ("true", "1")
