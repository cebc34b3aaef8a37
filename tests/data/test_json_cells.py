"""JSON text in the cells of a table is read as the value that it is."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lockstep.data import source_reading
from lockstep.data.rows import row_formats
from lockstep.data.rows.row_formats import Conversation
from tests.data.examples import make_source

CALL = {"type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}}
MESSAGES = [
    {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "", "tool_calls": [CALL]},
]  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]


def write_cells(file: Path, row: dict[str, Any]) -> None:
    """Write a table of one row; values that are no text become JSON text."""
    cells = {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
    if file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist([cells]), file)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(cells))
    writer.writeheader()
    writer.writerow(cells)
    file.write_text(text.getvalue())


def parse_cells(folder: Path, name: str, format: str, row: dict[str, Any]) -> Conversation:
    write_cells(folder / name, row)
    source = make_source(format, path=name)
    ((_, fields),) = source_reading.read_source(folder, source)
    assert isinstance(fields, dict)
    (conversation,) = row_formats.parse_row(fields, source)
    return conversation


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_messages_tools_and_labels_may_be_json_text(tmp_path: Path, name: str) -> None:
    row = {"messages": MESSAGES, "tools": TOOLS}
    conversation = parse_cells(tmp_path, name, "messages", row)
    assert conversation.messages == MESSAGES and conversation.tools == TOOLS
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    conversation = parse_cells(tmp_path, name, "sharegpt", {"conversations": turns})
    assert conversation.messages[-1]["content"] == "Hello"
    labels = parse_cells(tmp_path, name, "multi_label", {"text": "a", "labels": ["y", "x"]})
    assert labels.messages[-1]["content"] == '["x","y"]'
