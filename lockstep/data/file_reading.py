"""Reading of data files: JSONL, JSON, CSV, TSV and Parquet, plain or compressed.

A row is a dict of fields, the text of a JSON value that is not parsed yet, or the error that made
it unreadable. Files are read as streams; only .json files are held in memory as a whole.
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

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

RawRow = dict[str, Any] | str | InvalidRowError
"""A row before it is parsed and checked."""
PlacedRows = Iterator[tuple[str, RawRow]]
"""Pairs (place, row). The place is the number of the line on which the row begins (`line:n` for the
n-th row that begins on a line), `split:number` in an object with one array per split, or `row n`
in Parquet."""

COMPRESSIONS = (".gz", ".zip")
"""Suffixes of compressed files."""

_BLANKS_OR_COMMAS = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns that a table is checked for."""

    required: Collection[str]
    """Columns that must exist."""
    used: Collection[str]
    """Columns that are read, which must not occur twice."""


def file_suffix(path: str) -> str:
    """Return the suffix that names the file format, without that of a compression."""
    return _strip_compression(path).suffix


def file_stem(path: str) -> str:
    """Return the file's name without the suffixes of format and compression."""
    return _strip_compression(path).stem


def _strip_compression(path: str) -> PurePosixPath:
    name = PurePosixPath(path)
    return PurePosixPath(name.stem) if name.suffix in COMPRESSIONS else name


def read_rows(path: Path, encoding: str, columns: Columns) -> PlacedRows:
    """Yield the rows of a file with their places; raise UserError if the file is unreadable."""
    with _open_uncompressed(path) as stream:
        yield from FILE_READERS[file_suffix(path.name)](stream, path, encoding, columns)


@contextmanager
def _open_uncompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file and decompress it; errors become UserError."""
    try:
        with path.open("rb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=file) as stream:
                    yield io.BufferedReader(stream)
            elif path.suffix == ".zip":
                with (
                    zipfile.ZipFile(file) as archive,
                    archive.open(_find_single_file(archive)) as stream,
                ):
                    yield stream
            else:
                yield file
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: not found; put it there or correct prepare.sources") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; name a file in prepare.sources") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read; change its permissions") from None
    except zipfile.BadZipFile as error:
        remedy = "download it again, or pack one file without a password"
        raise UserError(f"{path}: cannot be unpacked: {error}; {remedy}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError) as error:
        raise UserError(f"{path}: cannot be unpacked: {error}; download it again") from None


def _find_single_file(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len(files) != 1:
        raise zipfile.BadZipFile(f"it contains {len(files)} files, not one")
    if files[0].flag_bits & 1:
        raise zipfile.BadZipFile("it is encrypted")
    return files[0]


def _decode(data: bytes, path: Path, encoding: str, offset: int = 0) -> str:
    """Decode bytes that begin at `offset` of the file, and drop a byte order mark at its start."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(_describe_wrong_encoding(path, encoding, offset + error.start)) from None
    return text if offset else text.removeprefix("\ufeff")


def _describe_wrong_encoding(path: Path, encoding: str, byte: int) -> str:
    from charset_normalizer import from_bytes

    with _open_uncompressed(path) as stream:
        best = from_bytes(stream.read(byte + 100_000)).best()
    guess = f"it looks like {best.encoding.replace('_', '-')}" if best else "no guess"
    return f"{path}: not {encoding} at byte {byte}; {guess}: correct encoding in prepare.sources"


def _read_jsonl(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> PlacedRows:
    for number, line in _read_lines(stream, path, encoding):
        if line.strip():
            yield str(number), line


def _read_lines(stream: IO[bytes], path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield numbered lines with their line ends.

    In an encoding whose newline is not the byte 0x0A (UTF-16), the file is decoded as a whole.
    """
    if "\n".encode(encoding) != b"\n":
        text = _decode(stream.read(), path, encoding)
        yield from enumerate(io.StringIO(text, newline="\n"), 1)
        return
    offset = 0
    for number, line in enumerate(stream, 1):
        yield number, _decode(line, path, encoding, offset)
        offset += len(line)


def _read_json(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> PlacedRows:
    """Yield the rows of an array, of an object with one array per split, or of JSON lines."""
    text = _decode(stream.read(), path, encoding)
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] == "[":
        yield from _place_elements(_read_array(text, start, path))
    elif (splits := _parse_splits(text)) is not None:
        for split, rows in splits.items():
            yield from (
                (f"{split}:{number}", json.dumps(row)) for number, row in enumerate(rows, 1)
            )
    else:
        for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
            if line.strip():
                yield str(number), line


def _place_elements(elements: Iterator[tuple[int, str]]) -> PlacedRows:
    """Yield elements with their line, and with their rank on it if several begin on that line."""
    previous_line, rank = 0, 0
    for line, row in elements:
        rank = rank + 1 if line == previous_line else 1
        previous_line = line
        yield f"{line}:{rank}" if rank > 1 else str(line), row


def _parse_splits(text: str) -> dict[str, list[Any]] | None:
    """Return the rows of each split if the text is an object of arrays, otherwise None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value:
        return None
    return value if all(isinstance(rows, list) for rows in value.values()) else None


def _read_array(text: str, start: int, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each element of the JSON array that begins at `start`."""
    decoder, position, line, counted, is_first = json.JSONDecoder(), start + 1, 1, 0, True
    while True:
        begin = position
        position = _BLANKS_OR_COMMAS.match(text, position).end()  # type: ignore[union-attr]  # it matches "" too
        line += text.count("\n", counted, position)
        counted = position
        is_end = text[position : position + 1] == "]"
        expected_commas = 0 if is_first or is_end else 1
        if position < len(text) and text.count(",", begin, position) != expected_commas:
            raise UserError(f"{path}:{line}: not JSON: one comma belongs between rows; repair it")
        is_first = False
        if is_end:
            break
        try:
            position = decoder.raw_decode(text, position)[1]
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(": line")[0]
            raise UserError(f"{path}:{line}: not JSON: {reason}; repair it or use .jsonl") from None
        yield line, text[counted:position]
    if text[position + 1 :].strip():
        raise UserError(f"{path}:{line}: text after the end of the array; remove it")


def _make_delimited_reader(delimiter: str) -> Callable[..., PlacedRows]:
    """Return a reader of tables with this delimiter."""

    def read(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> PlacedRows:
        csv.field_size_limit(sys.maxsize)  # a setting of the whole process
        lines = (line for _, line in _read_lines(stream, path, encoding))
        yield from _read_cells(csv.reader(lines, delimiter=delimiter, strict=True), path, columns)

    return read


def _read_cells(reader: Any, path: Path, columns: Columns) -> PlacedRows:
    header = _read_header(reader, path, columns)
    while True:
        line = reader.line_num + 1
        cells: list[str] | InvalidRowError | None
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = InvalidRowError("invalid_csv")
        if cells is None:
            return
        if not isinstance(cells, InvalidRowError) and len(cells) == len(header):
            yield str(line), dict(zip(header, cells, strict=True))
        elif reader.line_num > line:  # it may contain other rows, which would not be counted
            raise UserError(
                f"{path}:{line}: a quote that opens here does not close before line "
                f"{reader.line_num}; close it, or double it where it is text"
            )
        elif cells:
            if not isinstance(cells, InvalidRowError):
                cells = InvalidRowError("wrong_number_of_cells", " | ".join(cells))
            yield str(line), cells


def _read_header(reader: Any, path: Path, columns: Columns) -> list[str]:
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise UserError(f"{path}:1: header is not CSV: {error}; repair it") from None
    if not header:
        raise UserError(f"{path}: no header; remove it from prepare.sources or fill it")
    _check_columns(header, path, columns)
    return header


def _check_columns(header: list[str], path: Path, columns: Columns) -> None:
    """Raise UserError if a required column is missing or a used column occurs twice."""
    missing = [name for name in columns.required if name not in header]
    if missing:
        raise UserError(
            f"{path}: no column {missing[0]}; it has {', '.join(header)}: "
            "correct columns or slices in prepare.sources"
        )
    repeated = [name for name in columns.used if header.count(name) > 1]
    if repeated:
        raise UserError(f"{path}: two columns {repeated[0]}; rename or remove one")


def _read_parquet(stream: IO[bytes], path: Path, encoding: str, columns: Columns) -> PlacedRows:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(stream if stream.seekable() else io.BytesIO(stream.read()))
        _check_columns(file.schema_arrow.names, path, columns)
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not parquet: {reason}; download it again") from None


FILE_READERS: dict[str, Callable[[IO[bytes], Path, str, Columns], PlacedRows]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _make_delimited_reader(","),
    ".tsv": _make_delimited_reader("\t"),
    ".parquet": _read_parquet,
}
"""Reader of each file format, by suffix."""
