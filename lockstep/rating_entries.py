"""Ratings from 1 to 5 read from filled sheets and from exports of Label Studio."""

import codecs
import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError

LOWEST, HIGHEST = 1, 5
"""Lowest and highest rating; ratings are whole numbers."""

ITEM_CODE = re.compile("a[0-9a-f]+")
"""Pattern of an item's code."""

_RATING = re.compile(rf"([{LOWEST}-{HIGHEST}])(?:[.,]0*)?")
_ENCODING_BY_MARK = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The ratings of one answer by one rater."""

    place: str
    """`file:line` in a sheet; `file: task id` in an export, which is often a single line."""
    rater: str
    """Name of the sheet's file, or the annotator's id in Label Studio."""
    item: str
    """Code of the item."""
    ratings: dict[str, int]
    """Rating by dimension; dimensions that were left empty are missing."""


def read_entries(folder: Path, dimensions: Collection[str]) -> list[Entry]:
    """Return the entries with ratings from all files in a folder; [] if there is no folder.

    Raise UserError if a file is neither a sheet nor an export, a rating is not valid, or a rater
    rates an item twice.
    """
    return read_files(_list_files(folder), dimensions)


def read_files(paths: Iterable[Path], dimensions: Collection[str]) -> list[Entry]:
    """Return the entries with ratings from sheets and exports, see `read_entries`."""
    entries: dict[tuple[str, str], Entry] = {}
    for path in paths:
        for entry in READERS[path.suffix.lower()](path, dimensions):
            if not ITEM_CODE.fullmatch(entry.item):
                raise UserError(
                    f"{entry.place}: {_quote(entry.item)} is no item of a sheet; restore the "
                    "first column"
                )
            earlier = entries.get((entry.rater, entry.item))
            if earlier and entry.ratings:
                raise UserError(
                    f"{entry.place}: rater {_quote(entry.rater)} rates item {entry.item} again, "
                    f"first at {earlier.place}; remove one"
                )
            if entry.ratings:
                entries[entry.rater, entry.item] = entry
    return list(entries.values())


def _list_files(folder: Path) -> list[Path]:
    """Return the files with ratings, without the README and the hidden files of editors."""
    files = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith((".", "~$")) or path.stem == "README":
            continue
        if path.is_dir() or path.suffix.lower() not in READERS:
            raise UserError(
                f"{path}: not a sheet; save it as CSV, or export from Label Studio as JSON"
            )
        files.append(path)
    return files


def _read_sheet(path: Path, dimensions: Collection[str]) -> Iterator[Entry]:
    csv.field_size_limit(sys.maxsize)  # the limit holds for the whole process
    rows = _read_rows(path, _read_text(path))
    header = next(rows)[1]
    columns = _find_columns(path, header, dimensions)
    for line, row in rows:
        place = f"{path}:{line}"
        cells = [*row, *[""] * len(header)]  # Excel omits empty cells at the end of a row
        if not any(cells):
            continue
        if any(cells[len(header) :]):
            raise UserError(f"{place}: more cells than the header has; quote the text in them")
        ratings = {
            name: _parse_rating(cells[columns[name]], f"{place}: {name}") for name in dimensions
        }
        yield Entry(
            place=place,
            rater=path.stem,
            item=cells[columns["item"]].strip(),
            ratings={name: rating for name, rating in ratings.items() if rating is not None},
        )


def _read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, UTF-16 or an extension of ASCII.

    Excel may save in GBK or Windows-1252. Such files are read as Latin-1, which is right for
    codes and ratings, since these are ASCII.
    """
    data = path.read_bytes()
    encoding = next(
        (name for mark, name in _ENCODING_BY_MARK.items() if data.startswith(mark)), "utf-8"
    )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read_rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows, each with its first line; the separator is detected."""
    for separator in ",;\t":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        line, is_header = 1, True
        try:
            for row in reader:
                if is_header and "item" not in map(_parse_column_name, row):
                    break
                yield line, row
                line, is_header = reader.line_num + 1, False
        except csv.Error as error:
            if not is_header:
                raise UserError(f"{path}:{line}: not CSV: {error}; save the sheet again") from None
        if not is_header:
            return
    raise UserError(f"{path}:1: no column item; keep the header of the sheet and save it as CSV")


def _find_columns(path: Path, header: list[str], dimensions: Collection[str]) -> dict[str, int]:
    """Return the index of the column of the item and of each dimension."""
    names = [_parse_column_name(cell) for cell in header]
    for name in ("item", *dimensions):
        if names.count(name) != 1:
            raise UserError(
                f"{path}:1: {names.count(name) or 'no'} columns {name}; keep the columns of the "
                "sheet as it was written"
            )
    return {name: names.index(name) for name in ("item", *dimensions)}


def _parse_column_name(cell: str) -> str:
    """Return the name in a heading, which the question to the raters follows after a colon."""
    return cell.partition(":")[0].strip().casefold()


def _parse_rating(text: str, place: str) -> int | None:
    """Return the rating in a cell, also in full width or as 4.0; None if the cell is empty."""
    cell = unicodedata.normalize("NFKC", text).strip()
    if not cell:
        return None
    match = _RATING.fullmatch(cell)
    if not match:
        raise UserError(
            f"{place} is {_quote(cell)}; enter a whole number from {LOWEST} to {HIGHEST}, or "
            "leave it empty"
        )
    return int(match[1])


def _read_export(path: Path, dimensions: Collection[str]) -> Iterator[Entry]:
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}; export it again") from None
    if not isinstance(tasks, list):
        raise UserError(f"{path}: not a list of tasks; export as JSON")
    for number, task in enumerate(tasks, 1):
        match task:
            case {"data": {"item": str(item)}, "annotations": [*annotations]}:
                place = f"{path}: task {task.get('id', number)}"
                for annotation in annotations:
                    yield from _read_annotation(annotation, item, place, dimensions)
            case _:
                raise UserError(
                    f"{path}: task {number} of the list: no item with annotations; import "
                    "tasks.json, and export as JSON, not JSON-MIN"
                )


def _read_annotation(
    annotation: Any, item: str, place: str, dimensions: Collection[str]
) -> Iterator[Entry]:
    match annotation:
        case {"was_cancelled": True}:  # the annotator skipped the task
            return
        case {"completed_by": {"id": int(rater)} | int(rater), "result": [*results]}:
            ratings: dict[str, int] = {}
            for result in results:
                match result:
                    case {"type": "rating", "from_name": str(name), "value": {"rating": value}}:
                        if name not in dimensions or name in ratings:
                            known = f"none of {', '.join(dimensions)}"
                            problem = "given twice" if name in ratings else known
                            raise UserError(
                                f"{place}: rating {_quote(name)} is {problem}; use labelling.xml "
                                "as it was written"
                            )
                        rating = _parse_rating(json.dumps(value), f"{place}: {name}")
                        ratings |= {} if rating is None else {name: rating}
            yield Entry(place=place, rater=str(rater), item=item, ratings=ratings)
        case _:
            raise UserError(
                f"{place}: an annotation without completed_by or result; export as JSON"
            )


def _quote(text: str) -> str:
    """Return the text in quotes, truncated to 40 characters."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


READERS: dict[str, Callable[[Path, Collection[str]], Iterator[Entry]]] = {
    ".csv": _read_sheet,
    ".tsv": _read_sheet,
    ".txt": _read_sheet,  # Excel's Unicode text
    ".json": _read_export,
}
"""Reader of each kind of file with ratings, by its extension."""
