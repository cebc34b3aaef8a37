"""Values of Parquet are those that were written, without what Arrow adds."""

import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lockstep.errors import UserError
from tests.data.files.reading import read, write


def save(folder: Path, table: pa.Table) -> Path:
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return write(folder, "a.parquet", stream.getvalue())


def read_values(folder: Path, values: pa.Array) -> list[Any]:
    return [row["text"] for _, row in read(save(folder, pa.table({"text": values})), "text")[0]]


def test_members_that_arrow_adds_to_structs_are_absent(tmp_path: Path) -> None:
    calls = [
        [{"name": "a", "arguments": {"city": "Lyon", "days": [{"n": 1}, None]}}],
        [{"name": "b", "arguments": {"order": 17}}],
        [{"name": "c", "arguments": {}}],
        None,
    ]
    table = pa.Table.from_pylist([{"text": "x", "calls": call} for call in calls])
    assert "order" in table["calls"][0].as_py()[0]["arguments"]
    assert [row["calls"] for _, row in read(save(tmp_path, table), "text")[0]] == calls  # fmt: skip


JSON = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(codec="utf-8")),
    lambda values: st.dictionaries(st.sampled_from("abcd"), values, min_size=1),
    max_leaves=6,
)


@given(st.lists(JSON, min_size=1, max_size=1), st.data())
def test_a_struct_is_what_was_written(values: list[Any], data: st.DataObject) -> None:
    """Rows with other members make Arrow add nulls to the first one."""
    import tempfile

    other = {"z": {"y": 1}}
    with tempfile.TemporaryDirectory() as folder:
        column = pa.array([{"v": values[0]}, other])
        assert read_values(Path(folder), column) == [{"v": values[0]}, other]


def test_a_null_of_a_column_stays(tmp_path: Path) -> None:
    assert read_values(tmp_path, pa.array(["a", None])) == ["a", None]
    assert read_values(tmp_path, pa.array([["a", None], None])) == [["a", None], None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([[("k", None), ("l", 1)], []], pa.map_(pa.string(), pa.int64())),
         [{"k": None, "l": 1}, {}]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array([Decimal("1.50"), Decimal("3.00"), None]), [1.5, 3, None]),
        (pa.array([Decimal("0.12345678901234567890")]), ["0.12345678901234567890"]),
        (pa.array([Decimal(2) ** 70]), [2**70]),
        (pa.array([date(2024, 5, 1)]), ["2024-05-01"]),
        (pa.array([datetime(2024, 5, 1, 9)]), ["2024-05-01T09:00:00"]),
        (pa.array([timedelta(hours=1)]), ["1:00:00"]),
        (pa.array([[{"at": date(2024, 5, 1)}]]), [[{"at": "2024-05-01"}]]),
        (pa.array([2**63 + 1], pa.uint64()), [2**63 + 1]),
    ],
)  # fmt: skip
def test_values_of_every_type_are_those_of_json(
    tmp_path: Path, values: pa.Array, expected: list[Any]
) -> None:
    assert read_values(tmp_path, values) == expected


def test_a_map_with_a_repeated_key_is_one_line(tmp_path: Path) -> None:
    values = pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(UserError, match=r"a\.parquet: .*duplicate.*; write it again$"):
        read_values(tmp_path, values)
