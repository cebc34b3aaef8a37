"""Reading of data files of all formats, plain or compressed, as placed rows.

A row is a dict of fields, the text of a JSON value that is not parsed yet, or the error that made
it unreadable. Files are read as streams; only .json and .xlsx files are held in memory as a whole.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from lockstep.data.files import opening, source_files
from lockstep.data.files.conll_files import read_conll
from lockstep.data.files.delimited_tables import read_delimited
from lockstep.data.files.json_files import read_json, read_json_lines
from lockstep.data.files.parquet_files import read_parquet
from lockstep.data.files.placed_rows import (
    Columns,
    DataFile,
    Layout,
    Notes,
    PlacedRows,
    RawRow,
    Reader,
)
from lockstep.data.files.spreadsheets import read_spreadsheet
from lockstep.data.files.text_encodings import choose_encoding
from lockstep.errors import UserError

__all__ = ["COMPRESSIONS", "FILE_READERS", "Columns", "Layout", "Notes", "PlacedRows", "RawRow"]

COMPRESSIONS = opening.COMPRESSIONS

FILE_READERS: dict[str, Reader] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".parquet": read_parquet,
    ".xlsx": read_spreadsheet,
    ".conll": read_conll,
}
"""Reader of each file format, by suffix."""
NAMED_READERS: dict[str, Reader] = {**FILE_READERS, ".txt": read_conll}
"""Readers with those of suffixes that need not mean data: such a file of a folder or an archive is
read only if the source names it."""

RENAMING = (
    "rename a file with another suffix or none by its content: .tsv or .csv for a table, .jsonl "
    "for JSON lines, .conll for a token and its tags per line"
)
"""Remedy for files whose names do not tell their format."""

_BINARY = (".parquet", ".xlsx")


def file_suffix(path: str) -> str:
    """Return the suffix that names the file format, in lower case and without a compression."""
    return opening.strip_compression(path).suffix.lower()


def file_stem(path: str) -> str:
    """Return the file's name without the suffixes of format and compression."""
    stem = opening.strip_compression(path).stem
    return source_files.name_files(path, stem)


def is_readable(path: str) -> bool:
    """Whether a path names files that can be read: a file, an archive, a folder or a pattern."""
    suffix = file_suffix(path)
    if suffix in NAMED_READERS or opening.is_archive(path) or path.endswith("/"):
        return True
    if source_files.is_pattern(path):
        return not suffix or source_files.is_pattern(suffix)
    return "." not in PurePosixPath(path).name.lstrip(".")


def is_data_file(name: str) -> bool:
    """Whether the name of a file has a suffix that can be read."""
    return name.lower().endswith(_list_suffixes())


def list_files(root: Path, path: str, notes: Notes) -> list[tuple[str, Path]]:
    """Return (name, path) of the files of a source; raise UserError if there is none."""
    return source_files.list_files(root, path, _list_suffixes(file_suffix(path)), notes)


def read_rows(
    path: Path,
    encoding: str,
    columns: Columns,
    layout: Layout | None = None,
    notes: Notes | None = None,
) -> PlacedRows:
    """Yield the rows of a file with their places; raise UserError if the file is unreadable.

    `notes` receives a remark for each thing that was guessed or left out.
    """
    layout, notes = layout or Layout(), Notes() if notes is None else notes
    members = [""]
    if opening.is_archive(path.name):
        members = opening.list_members(path, layout, tuple(FILE_READERS), notes)
    make_file = partial(DataFile, encoding=encoding, columns=columns, layout=layout, notes=notes)
    if len(members) == 1 and not layout.members:
        yield from _read_member(path, members[0], partial(make_file, path=path))
        return
    for member in members:
        rows = _read_member(path, member, partial(make_file, path=path / member))
        yield from ((f"{member}:{place}", row) for place, row in rows)


def _read_member(path: Path, member: str, make_file: Callable[..., DataFile]) -> PlacedRows:
    """Yield the rows of a file, or of a member of a .zip file."""
    suffixes = [file_suffix(member), file_suffix(path.name)]
    suffix = next((suffix for suffix in suffixes if suffix in NAMED_READERS), "")
    if not suffix:
        known = ", ".join(FILE_READERS)
        name = member or path.name
        raise UserError(
            f"{path}: {name} does not end in {known}; correct path or members, or {RENAMING}"
        )
    reopen = partial(opening.open_decompressed, path, member)
    with reopen() as stream:
        file = make_file(stream=stream, reopen=reopen)
        yield from NAMED_READERS[suffix](file if suffix in _BINARY else choose_encoding(file))


def _list_suffixes(named: str = "") -> tuple[str, ...]:
    """Return the suffixes of data files, with one that the source names."""
    suffixes = {**FILE_READERS, named: None} if named in NAMED_READERS else FILE_READERS
    compressed = (f"{suffix}{packing}" for suffix in suffixes for packing in COMPRESSIONS)
    return (*suffixes, *compressed, ".zip")
