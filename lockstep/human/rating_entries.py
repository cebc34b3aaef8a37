"""What raters entered, read from filled sheets and from Label Studio's exports."""

import codecs
import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.human.rating_items import HIGHEST, ITEM, LOWEST

_RATING = re.compile(rf"([{LOWEST}-{HIGHEST}])(?:[.,]0*)?")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How one rater rated one answer."""

    place: str
    """`file:line`; of an export, which is often one line, `file: task id`."""
    rater: str
    item: str
    ratings: dict[str, int]
    """By dimension; what was left empty is missing."""


def read(folder: Path, dimensions: Collection[str]) -> list[Entry]:
    """The entries of all files in a folder that hold ratings; none where there is no folder.

    A rater is the name of a CSV file, or `completed_by` in Label Studio. UserError of what is no
    rating, or the second one of an item by a rater.
    """
    found: dict[tuple[str, str], Entry] = {}
    for path in _files(folder):
        for entry in FORMS[path.suffix.lower()](path, dimensions):
            if not ITEM.fullmatch(entry.item):
                raise UserError(
                    f"{entry.place}: {_shown(entry.item)} is no item of a sheet; keep the first "
                    "column as it was drawn"
                )
            before = found.get((entry.rater, entry.item))
            if before and entry.ratings:
                raise UserError(
                    f"{entry.place}: rater {_shown(entry.rater)} rates item {entry.item} again, "
                    f"first at {before.place}; remove one"
                )
            if entry.ratings:
                found[entry.rater, entry.item] = entry
    return list(found.values())


def _files(folder: Path) -> list[Path]:
    """Those that people put there: no README, nor what editors hide beside their files."""
    files = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith((".", "~$")) or path.stem == "README":
            continue
        if path.is_dir() or path.suffix.lower() not in FORMS:
            raise UserError(f"{path}: no sheet; save it as CSV, or export JSON from Label Studio")
        files.append(path)
    return files


def _sheet(path: Path, dimensions: Collection[str]) -> Iterator[Entry]:
    csv.field_size_limit(sys.maxsize)  # of the whole process
    rows = _rows(path, _text(path))
    header = next(rows)[1]
    columns = _columns(path, header, dimensions)
    for line, row in rows:
        place, cells = f"{path}:{line}", [*row, *[""] * len(header)]  # Excel omits empty ends
        if not any(cells):
            continue
        if any(cells[len(header) :]):
            raise UserError(f"{place}: more cells than the header has; quote the text in them")
        ratings = {name: _rating(cells[columns[name]], f"{place}: {name}") for name in dimensions}
        yield Entry(
            place=place,
            rater=path.stem,
            item=cells[columns["item"]].strip(),
            ratings={name: value for name, value in ratings.items() if value is not None},
        )


def _text(path: Path) -> str:
    """The file's text in UTF-8 or UTF-16; of another encoding, only the ASCII characters are right.

    That is enough, since codes and ratings are ASCII: Excel may save in GBK or Windows-1252.
    """
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows with the lines on which they begin, whatever separates the cells."""
    for separator in ",;\t":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        line, header = 1, True
        try:
            for row in reader:
                if header and "item" not in map(_name, row):
                    break
                yield line, row
                line, header = reader.line_num + 1, False
        except csv.Error as error:
            if not header:
                raise UserError(f"{path}:{line}: not CSV: {error}; save the sheet again") from None
        if not header:
            return
    raise UserError(f"{path}:1: no column item; fill a sheet as it was drawn, and save it as CSV")


def _columns(path: Path, header: list[str], dimensions: Collection[str]) -> dict[str, int]:
    """Where the item and each dimension stand."""
    names = [_name(cell) for cell in header]
    for name in ("item", *dimensions):
        if names.count(name) != 1:
            raise UserError(
                f"{path}:1: {names.count(name) or 'no'} columns {name}; keep those of the sheet, "
                "or correct human.dimensions in params.yaml"
            )
    return {name: names.index(name) for name in ("item", *dimensions)}


def _name(cell: str) -> str:
    """A column's name, before what raters are asked."""
    return cell.partition(":")[0].strip().casefold()


def _rating(text: str, place: str) -> int | None:
    """The number in a cell, also in full width or as 4.0; None of an empty one."""
    cell = unicodedata.normalize("NFKC", text).strip()
    if not cell:
        return None
    match = _RATING.fullmatch(cell)
    if not match:
        raise UserError(
            f"{place} is {_shown(cell)}; rate by a whole number from {LOWEST} to {HIGHEST}, or "
            "leave it empty"
        )
    return int(match[1])


def _export(path: Path, dimensions: Collection[str]) -> Iterator[Entry]:
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}; export it again") from None
    if not isinstance(tasks, list):
        raise UserError(f"{path}: no list of tasks; export as JSON")
    for number, task in enumerate(tasks, 1):
        match task:
            case {"data": {"item": str(item)}, "annotations": [*annotations]}:
                place = f"{path}: task {task.get('id', number)}"
                for annotation in annotations:
                    yield from _annotation(annotation, item, place, dimensions)
            case _:
                raise UserError(
                    f"{path}: task {number} of the list: no item with annotations; import "
                    "tasks.json, and export as JSON, not JSON-MIN"
                )


def _annotation(
    annotation: Any, item: str, place: str, dimensions: Collection[str]
) -> Iterator[Entry]:
    match annotation:
        case {"was_cancelled": True}:  # skipped
            return
        case {"completed_by": {"id": int(rater)} | int(rater), "result": [*results]}:
            ratings: dict[str, int] = {}
            for result in results:
                match result:
                    case {"type": "rating", "from_name": str(name), "value": {"rating": value}}:
                        if name not in dimensions or name in ratings:
                            problem = "twice" if name in ratings else "no human.dimensions"
                            raise UserError(
                                f"{place}: rating {_shown(name)} is {problem}; label by "
                                "labelling.xml, or correct params.yaml"
                            )
                        number = _rating(json.dumps(value), f"{place}: {name}")
                        ratings |= {} if number is None else {name: number}
            yield Entry(place=place, rater=str(rater), item=item, ratings=ratings)
        case _:
            raise UserError(
                f"{place}: an annotation without completed_by or result; export as JSON"
            )


def _shown(text: str) -> str:
    """Cut to a length that fits into a line."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


FORMS: dict[str, Callable[[Path, Collection[str]], Iterator[Entry]]] = {
    ".csv": _sheet,
    ".tsv": _sheet,
    ".txt": _sheet,  # Excel's Unicode text
    ".json": _export,
}
