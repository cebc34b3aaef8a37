"""Every container gives the same rows, and a bad one a line that says so."""

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

from lockstep.data import containers, strict_json
from lockstep.data.containers import Columns
from lockstep.data.rejection import UnfitError
from lockstep.errors import UserError

ROWS = [{"a": 'one, "two"', "b": "退款\n吗"}, {"a": "x\ty", "b": "é"}]
NONE = Columns(needed=(), used=())


def table(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["a", "b"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def as_parquet() -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS), stream)
    return stream.getvalue()


def zipped(data: bytes, *names: str) -> bytes:
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
    "a.csv": (table(","), ["2", "4"]),
    "a.tsv": (table("\t"), ["2", "4"]),
    "a.parquet": (as_parquet(), ["row 1", "row 2"]),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packing", ["", ".gz", ".zip"])
def test_every_container_gives_the_same_rows(tmp_path: Path, name: str, packing: str) -> None:
    data, places = FILES[name]
    pack = {"": bytes, ".gz": gzip.compress, ".zip": lambda data: zipped(data, "folder/inner")}
    file = tmp_path / f"{name}{packing}"
    file.write_bytes(pack[packing](data))
    found = list(containers.rows(file, "utf-8", NONE))
    assert [place for place, _ in found] == places
    rows = [strict_json.parse(row) if isinstance(row, str) else row for _, row in found]
    assert rows == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
def test_every_encoding_gives_the_same_rows(tmp_path: Path, name: str, encoding: str) -> None:
    file = tmp_path / name
    file.write_bytes(FILES[name][0].decode().encode(encoding))
    found = [row for _, row in containers.rows(file, encoding.removesuffix("-sig"), NONE)]
    assert [strict_json.parse(row) if isinstance(row, str) else row for row in found] == ROWS


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("a.jsonl.gz", b"{}", "does not unpack: Not a gzipped file (b'{}'); fetch it again"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-9], "does not unpack: "),
        ("a.csv.zip", b"a,b", "does not unpack: File is not a zip file; fetch it again"),
        ("a.csv.zip", zipped(b"a", "x", "y"), "does not unpack: it holds 2 files, not one"),
        ("a.csv.zip", zipped(b"a"), "does not unpack: it holds 0 files, not one"),
        ("a.parquet", b"PAR1", "not parquet: "),
        ("a.parquet", as_parquet().replace(b"one, ", b"one\xff "), "not parquet: "),
        ("a.csv.zip", zipped(b"a").replace(b"\0\0\0\0", b"\0\0\x61\0", 1), "does not unpack: "),
        ("a.parquet", as_parquet()[:-20], "not parquet: "),
        ("a.jsonl", b'{"a": "ok"}\n{"a": "caf\xe9"}', "not utf-8 at byte 22; it looks like "),
        ("a.csv", b"a,b\nok,ok\ncaf\xe9,x\n", "not utf-8 at byte 13; it looks like "),
        (
            "a.jsonl",
            "价格退款订单发票地址".encode("gb18030") * 9,
            "not utf-8 at byte 0; it looks like gb",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(
    tmp_path: Path, name: str, data: bytes, line: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as refusal:
        list(containers.rows(tmp_path / name, "utf-8", NONE))
    assert refusal.value.message.startswith(f"{tmp_path / name}: {line}")
    assert "\n" not in refusal.value.message


def test_columns_that_a_table_lacks_or_has_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(as_parquet())
    (tmp_path / "a.tsv").write_text("a\ta\n1\t2\n")
    with pytest.raises(UserError, match="no column c; it has a, b: correct columns or slices"):
        list(containers.rows(tmp_path / "a.parquet", "utf-8", Columns(needed="c", used="c")))
    with pytest.raises(UserError, match="two columns a; rename or remove one"):
        list(containers.rows(tmp_path / "a.tsv", "utf-8", Columns(needed="a", used="a")))


def test_a_torn_row_of_a_table_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n1\t2\t3\n4\t5\n")
    (_, torn), (_, whole) = containers.rows(tmp_path / "a.tsv", "utf-8", NONE)
    assert isinstance(torn, UnfitError) and str(torn) == "wrong_number_of_cells"
    assert whole == {"a": "4", "b": "5"}


def test_new_rows_are_read_even_where_time_and_size_are_the_old_ones(tmp_path: Path) -> None:

    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}')
    before = file.stat()
    assert list(containers.rows(file, "utf-8", NONE)) == [("1", '{"a": 1}')]
    file.write_text('{"a": 2}')
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert list(containers.rows(file, "utf-8", NONE)) == [("1", '{"a": 2}')]
