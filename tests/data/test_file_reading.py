"""Every file format gives the same rows, and an unreadable file is refused in one line."""

import csv
import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lockstep.data import file_reading, strict_json
from lockstep.data.file_reading import Columns
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

ROWS = [{"a": 'one, "two"', "b": "退款\n吗"}, {"a": "x\ty", "b": "é"}]
NO_COLUMNS = Columns(required=(), used=())


def make_table(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["a", "b"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def make_parquet() -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS), stream)
    return stream.getvalue()


def make_zip(data: bytes, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return stream.getvalue()


FILES = {
    "a.jsonl": ("\n".join(map(json.dumps, ROWS)).encode(), ["1", "2"]),
    "a.json": (json.dumps(ROWS, indent=1).encode(), ["2", "6"]),
    "lines.json": ("\n\n".join(map(json.dumps, ROWS)).encode(), ["1", "3"]),
    "splits.json": (json.dumps({"x": ROWS[:1], "y": ROWS[1:]}).encode(), ["x:1", "y:1"]),
    "a.csv": (make_table(","), ["2", "4"]),
    "a.tsv": (make_table("\t"), ["2", "4"]),
    "a.parquet": (make_parquet(), ["row 1", "row 2"]),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packing", ["", ".gz", ".zip"])
def test_every_file_format_gives_the_same_rows(tmp_path: Path, name: str, packing: str) -> None:
    data, places = FILES[name]
    pack = {"": bytes, ".gz": gzip.compress, ".zip": lambda data: make_zip(data, "folder/inner")}
    file = tmp_path / f"{name}{packing}"
    file.write_bytes(pack[packing](data))
    placed_rows = list(file_reading.read_rows(file, "utf-8", NO_COLUMNS))
    assert [place for place, _ in placed_rows] == places
    rows = [strict_json.parse(row) if isinstance(row, str) else row for _, row in placed_rows]
    assert rows == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
def test_every_encoding_gives_the_same_rows(tmp_path: Path, name: str, encoding: str) -> None:
    file = tmp_path / name
    file.write_bytes(FILES[name][0].decode().encode(encoding))
    rows = [
        row for _, row in file_reading.read_rows(file, encoding.removesuffix("-sig"), NO_COLUMNS)
    ]
    assert [strict_json.parse(row) if isinstance(row, str) else row for row in rows] == ROWS


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl.gz", b"{}", "cannot be unpacked: Not a gzipped file (b'{}'); download it again"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-9], "cannot be unpacked: "),
        ("a.csv.zip", b"a,b", "cannot be unpacked: File is not a zip file; download it again"),
        (
            "a.csv.zip",
            make_zip(b"a", "x", "y"),
            "no data file in it; it contains x, y: correct members or path",
        ),
        (
            "a.csv.zip",
            make_zip(b"a"),
            "no data file in it; it contains nothing: correct members or path",
        ),
        ("a.parquet", b"PAR1", "not parquet: "),
        ("a.parquet", make_parquet().replace(b"one, ", b"one\xff "), "not parquet: "),
        (
            "a.csv.zip",
            make_zip(b"a", "x.csv").replace(b"\x14\x03\x14\0\0", b"\x14\x03\x14\0\1"),
            "cannot be unpacked: it is encrypted; pack it without a password",
        ),
        ("a.parquet", make_parquet()[:-20], "not parquet: "),
        (
            "a.jsonl",
            b'{"a": "ok"}\n{"a": "caf\xe9"}',
            "not utf-8 at byte 22, line 2; it looks like cp1252: correct encoding",
        ),
        (
            "a.csv",
            b"a,b\nok,ok\ncaf\xe9,x\n",
            "not utf-8 at byte 13, line 3; it looks like cp1252: correct encoding",
        ),
        (
            "a.jsonl",
            "价格退款订单发票地址".encode("gb18030") * 9,
            "not utf-8 at byte 0, line 1; it looks like gb18030: correct encoding",
        ),
    ],
)
def test_an_unreadable_file_is_refused_in_one_line(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as error:
        list(file_reading.read_rows(tmp_path / name, "utf-8", NO_COLUMNS))
    assert error.value.message.startswith(f"{tmp_path / name}: {message}")
    assert "\n" not in error.value.message


def test_a_repeated_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\ta\n1\t2\n")
    with pytest.raises(UserError, match="two columns a; rename or remove one"):
        list(file_reading.read_rows(tmp_path / "a.tsv", "utf-8", Columns(required="a", used="a")))


def test_only_the_row_with_too_many_cells_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n1\t2\t3\n4\t5\n")
    (_, invalid), (_, valid) = file_reading.read_rows(tmp_path / "a.tsv", "utf-8", NO_COLUMNS)
    assert isinstance(invalid, InvalidRowError) and str(invalid) == "wrong_number_of_cells"
    assert valid == {"a": "4", "b": "5"}


def test_a_changed_file_is_read_again_even_if_its_time_and_size_are_equal(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}')
    before = file.stat()
    assert list(file_reading.read_rows(file, "utf-8", NO_COLUMNS)) == [("1", '{"a": 1}')]
    file.write_text('{"a": 2}')
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert list(file_reading.read_rows(file, "utf-8", NO_COLUMNS)) == [("1", '{"a": 2}')]


def test_a_file_without_a_suffix_is_to_be_renamed(tmp_path: Path) -> None:
    path = tmp_path / "collection"
    path.write_text("ham\tGo\n")
    with pytest.raises(UserError, match=r"collection does not end in .*, or rename a file"):
        list(file_reading.read_rows(path, "utf-8", Columns(required=(), used=())))
