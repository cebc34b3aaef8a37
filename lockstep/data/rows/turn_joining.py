"""Files with one turn per row: the rows of a conversation are joined to one row.

The column that `columns` names as `conversation` says which rows belong together, or that of
`parent` which turn comes before. All rows of a source are held in memory.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from lockstep.data.file_reading import Notes, PlacedRows, RawRow
from lockstep.data.files.placed_rows import parse_object
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import column_values, field_synonyms, row_fields
from lockstep.data.rows.row_fields import Row
from lockstep.data.rows.turn_rows import ORDER_COLUMNS, Turn, make_row, read_key
from lockstep.data.rows.turn_trees import join_trees
from lockstep.data.sources import Source


def join_turns(rows: PlacedRows, source: Source, notes: Notes, path: Path) -> PlacedRows:
    """Yield a row for each conversation, in the order of their first rows.

    Its columns are those of its turns: a value that they share, or the list of their values. A row
    that belongs to no conversation stays as it is, or becomes an error.
    """
    if source.sets("parent"):
        yield from join_trees(rows, source, notes, path)
    else:
        yield from _join_groups(rows, source, notes, path)


def _join_groups(rows: PlacedRows, source: Source, notes: Notes, path: Path) -> PlacedRows:
    """Join the rows that have the same value in the column of `conversation`.

    A conversation beside a row that cannot be read may lack a turn, so it is rejected.
    """
    groups: dict[str, list[Turn]] = {}
    damaged: dict[str, str] = {}
    bad_place, previous = "", ""
    for place, raw_row in rows:
        row = parse_object(raw_row)
        if not isinstance(row, dict):
            yield place, raw_row
            bad_place = place
            damaged.setdefault(previous, place)
            continue
        try:
            previous = read_key(row, source, "conversation")
        except InvalidRowError as error:
            yield place, error
            continue
        if bad_place:
            damaged.setdefault(previous, bad_place)
            bad_place = ""
        groups.setdefault(previous, []).append(Turn(place, row))
    sort = _choose_order(groups, source, notes, path)
    for name, turns in groups.items():
        yield turns[0].place, _join_group(name, turns, damaged.get(name), sort, source)


def _join_group(
    name: str,
    turns: list[Turn],
    bad_place: str | None,
    sort: Callable[[list[Turn]], list[Turn]],
    source: Source,
) -> RawRow:
    """Return the row of a conversation, or the error that makes it unusable."""
    first = turns[0].place
    files = sorted({_name_file(turn.place) for turn in turns})
    try:
        if bad_place:
            raise InvalidRowError(
                "turn_not_readable", detail=f"the row at {bad_place} may be a turn of {name}"
            )
        if len(files) > 1:
            raise InvalidRowError(
                "conversation_in_two_files",
                detail=f"{name} is in {' and '.join(files[:2])}; list each file as a source if "
                "their conversations are different ones, or join the files",
            )
        return make_row(sort(turns), source)
    except InvalidRowError as error:
        error.row = error.row or f"{first}: {show_value(turns[0].row, 200)}"
        return error


def _choose_order(
    groups: dict[str, list[Turn]], source: Source, notes: Notes, path: Path
) -> Callable[[list[Turn]], list[Turn]]:
    """Return the function that sorts the turns of a conversation; add a note if it was guessed."""

    def sort_by_column(turns: list[Turn]) -> list[Turn]:
        return _sort_turns(turns, column, source)

    if source.sets("order"):
        column = source.get_column("order")
        return sort_by_column
    columns = dict.fromkeys(name for turns in groups.values() for name in turns[0].row)
    for column in (name for name in ORDER_COLUMNS if name in columns):
        try:
            for turns in groups.values():
                sort_by_column(turns)
        except InvalidRowError:
            continue
        notes.add(path, f"turns are in the order of column {column} (columns: {{order: …}})")
        return sort_by_column
    notes.add(path, "turns are in the order of the file (columns: {order: …} names another)")
    return list


def _sort_turns(turns: list[Turn], column: str, source: Source) -> list[Turn]:
    """Return turns in the order of a column, and where it is equal, in that of the file.

    A question and its answer may have one number; two turns of one role may not.
    """
    keyed = sorted(((_read_order(turn.row, column), turn) for turn in turns), key=lambda k: k[0])
    for (key, turn), (next_key, next_turn) in pairwise(keyed):
        roles = [_find_role(each.row, source) for each in (turn, next_turn)]
        if key == next_key and roles[0] == roles[1]:
            raise InvalidRowError(
                "two_turns_of_one_order",
                detail=f"{column} is {show_value(turn.row[column])} in {turn.place} and "
                f"{next_turn.place}, both of {roles[0]}",
            )
    return [turn for _, turn in keyed]


def _read_order(row: Row, column: str) -> float:
    """Return the number, or the time in ISO 8601, by which a turn is sorted."""
    value = row.get(column)
    number = row_fields.parse_number(value)
    if number == number:  # not NaN
        return number
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidRowError(
            "order_not_a_number", detail=f"{column} is {show_value(value)}, no number and no time"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _name_file(place: str) -> str:
    """Return a place without the line or the number of the row."""
    name, _, number = place.rpartition(":")
    if number.removeprefix("row ").isdigit() and ":" in name:  # the second row of a line
        before, _, line = name.rpartition(":")
        return before if line.isdigit() else name
    return name


def _find_role(row: Row, source: Source) -> str | None:
    names = [source.get_column("role")] if source.sets("role") else field_synonyms.ROLE_KEYS
    return next((column_values.write_text(row[name]) for name in names if name in row), None)
