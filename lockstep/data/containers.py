"""Files of any accepted container -> rows, each with the place where it begins.

A row is a dict of fields, or the text of a JSON value that nobody has parsed yet, or what spoilt
it. Files are read as streams, a .json array alone is held as a whole.
"""

import csv
import gzip
import io
import json
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lockstep.data.rejection import UnfitError
from lockstep.errors import UserError

Row = dict[str, Any] | str | UnfitError
Rows = Iterator[tuple[str, Row]]
"""(place, row); the place is a line number (`line:n` for the n-th row that begins on it),
`split:number` or, in parquet, `row number`."""

COMPRESSIONS = (".gz", ".zip")

_BLANKS = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns of a table."""

    needed: Collection[str]
    """Must be there."""
    used: Collection[str]
    """Must not be there twice."""


def kind(path: str) -> str:
    """The suffix that says how rows are written, below that of a compression."""
    return _without_compression(path).suffix


def stem(path: str) -> str:
    """Return the file's name without its suffixes."""
    return _without_compression(path).stem


def _without_compression(path: str) -> PurePosixPath:
    name = PurePosixPath(path)
    return PurePosixPath(name.stem) if name.suffix in COMPRESSIONS else name


def rows(path: Path, encoding: str, columns: Columns) -> Rows:
    """The rows of a file; UserError where the file itself is bad."""
    with _opened(path) as stream:
        yield from ROWS[kind(path.name)](stream, path, encoding, columns)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked bytes."""
    try:
        with path.open("rb") as packed:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=packed) as stream:
                    yield io.BufferedReader(stream)
            elif path.suffix == ".zip":
                with zipfile.ZipFile(packed) as archive, archive.open(_only(archive)) as stream:
                    yield stream
            else:
                yield packed
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: not found; put it there or correct prepare.sources") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; name a file in prepare.sources") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read; change its permissions") from None
    except zipfile.BadZipFile as error:
        remedy = "fetch it again, or pack one file without a password"
        raise UserError(f"{path}: does not unpack: {error}; {remedy}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError) as error:
        raise UserError(f"{path}: does not unpack: {error}; fetch it again") from None


def _only(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len(files) != 1:
        raise zipfile.BadZipFile(f"it holds {len(files)} files, not one")
    if files[0].flag_bits & 1:
        raise zipfile.BadZipFile("it is encrypted")
    return files[0]


def _decoded(data: bytes, path: Path, encoding: str, before: int = 0) -> str:
    """The text without byte order mark; `before` bytes of the file precede it."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(_wrong_encoding(path, encoding, before + error.start)) from None
    return text if before else text.removeprefix("\ufeff")


def _wrong_encoding(path: Path, encoding: str, byte: int) -> str:
    from charset_normalizer import from_bytes

    with _opened(path) as stream:
        best = from_bytes(stream.read(byte + 100_000)).best()
    looks = f"it looks like {best.encoding.replace('_', '-')}" if best else "no guess"
    return f"{path}: not {encoding} at byte {byte}; {looks}: correct encoding in prepare.sources"


def _json_lines(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> Rows:
    lines = _lines(stream, path, encoding)
    for number, line in lines:
        if line.strip():
            yield str(number), line


def _lines(stream: IO[bytes], path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends; text in which \\n is not that byte is decoded as a whole."""
    if "\n".encode(encoding) != b"\n":
        text = _decoded(stream.read(), path, encoding)
        yield from enumerate(io.StringIO(text, newline="\n"), 1)
        return
    before = 0
    for number, line in enumerate(stream, 1):
        yield number, _decoded(line, path, encoding, before)
        before += len(line)


def _json(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> Rows:
    """An array of rows, an object of arrays (its splits), or one row on each line."""
    text = _decoded(stream.read(), path, encoding)
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] == "[":
        yield from _places(_elements(text, start, path))
    elif (splits := _splits(text)) is not None:
        for split, numbered in splits.items():
            yield from ((f"{split}:{place}", json.dumps(row)) for place, row in numbered)
    else:
        for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
            if line.strip():
                yield str(number), line


def _places(elements: Iterator[tuple[int, str]]) -> Rows:
    """The line on which an element begins; of several on one line also which."""
    before, on_line = 0, 0
    for line, row in elements:
        on_line = on_line + 1 if line == before else 1
        before = line
        yield f"{line}:{on_line}" if on_line > 1 else str(line), row


def _splits(text: str) -> dict[str, list[tuple[int, Any]]] | None:
    """The numbered rows of each split, if the text is an object of arrays."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict) or not whole:
        return None
    if not all(isinstance(split, list) for split in whole.values()):
        return None
    return {name: list(enumerate(split, 1)) for name, split in whole.items()}


def _elements(text: str, start: int, path: Path) -> Iterator[tuple[int, str]]:
    """The text of each element of the JSON array at `start`, and the line on which it begins."""
    decoder, at, line, seen, first = json.JSONDecoder(), start + 1, 1, 0, True
    while True:
        begin = at
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        line += text.count("\n", seen, at)
        seen = at
        ends = text[at : at + 1] == "]"
        if at < len(text) and text.count(",", begin, at) != (not first and not ends):
            raise UserError(f"{path}:{line}: not JSON: one comma belongs between rows; repair it")
        first = False
        if ends:
            break
        try:
            at = decoder.raw_decode(text, at)[1]
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(": line")[0]
            raise UserError(f"{path}:{line}: not JSON: {reason}; repair it or use .jsonl") from None
        yield line, text[seen:at]
    if text[at + 1 :].strip():
        raise UserError(f"{path}:{line}: text after the end of the array; remove it")


def _delimited(delimiter: str) -> Callable[..., Rows]:
    def read(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> Rows:
        csv.field_size_limit(sys.maxsize)  # of the whole process
        lines = (line for _, line in _lines(stream, path, encoding))
        yield from _cells(csv.reader(lines, delimiter=delimiter, strict=True), path, columns)

    return read


def _cells(reader: Any, path: Path, columns: Columns) -> Rows:
    header = _header(reader, path, columns)
    while True:
        line = reader.line_num + 1
        row: list[str] | UnfitError | None
        try:
            row = next(reader, None)
        except csv.Error:
            row = UnfitError("invalid_csv")
        if row is None:
            return
        if not isinstance(row, UnfitError) and len(row) == len(header):
            yield str(line), dict(zip(header, row, strict=True))
        elif reader.line_num > line:  # rows of their own may lie in it, which nobody would count
            raise UserError(
                f"{path}:{line}: a quote that opens here does not close before line "
                f"{reader.line_num}; close it, or double it where it is text"
            )
        elif row:
            if not isinstance(row, UnfitError):
                row = UnfitError("wrong_number_of_cells", " | ".join(row))
            yield str(line), row


def _header(reader: Any, path: Path, columns: Columns) -> list[str]:
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise UserError(f"{path}:1: header is not CSV: {error}; repair it") from None
    if not header:
        raise UserError(f"{path}: no header; remove it from prepare.sources or fill it")
    _refuse_columns(header, path, columns)
    return header


def _refuse_columns(header: list[str], path: Path, columns: Columns) -> None:
    absent = [name for name in columns.needed if name not in header]
    if absent:
        raise UserError(
            f"{path}: no column {absent[0]}; it has {', '.join(header)}: "
            "correct columns or slices in prepare.sources"
        )
    twice = [name for name in columns.used if header.count(name) > 1]
    if twice:
        raise UserError(f"{path}: two columns {twice[0]}; rename or remove one")


def _parquet(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> Rows:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(stream if stream.seekable() else io.BytesIO(stream.read()))
        _refuse_columns(file.schema_arrow.names, path, columns)
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not parquet: {reason}; fetch it again") from None


ROWS: dict[str, Callable[[IO[bytes], Path, str, Columns], Rows]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".parquet": _parquet,
}
