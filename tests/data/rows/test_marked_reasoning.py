"""Reasoning between the marks of OpenThoughts is read; its marks elsewhere name the remedy."""

from pathlib import Path

import pytest

from tests.data.rows.test_transcripts import parse
from tests.data.test_source_reading import read, write_rows

TEXT = (
    "<|begin_of_thought|>\n\nAdd them.\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\n2\n\n<|end_of_solution|>"
)
ANSWER = {"role": "assistant", "content": "2", "reasoning_content": "Add them."}


def test_marked_reasoning_becomes_the_reasoning_of_the_answer() -> None:
    turns = [{"from": "user", "value": "1+1?"}, {"from": "assistant", "value": TEXT}]
    assert parse({"conversations": turns}, "sharegpt").messages[-1] == ANSWER
    row = {"instruction": "1+1?", "output": TEXT}
    assert parse(row, "alpaca").messages[-1] == ANSWER
    row = {"prompt": "1+1?", "chosen": "2", "rejected": TEXT}
    assert parse(row, "preference").rejected == ANSWER


def test_marks_that_are_no_reasoning_name_the_remedy(tmp_path: Path) -> None:
    system = f"Write {TEXT}"
    rows = [
        {"system": "", "prompt": "1+1?", "completion": TEXT.replace("<|end_of_thought|>", "")},
        {"system": system, "prompt": "1+1?", "completion": TEXT},
    ]
    write_rows(tmp_path, rows)
    source = {"format": "prompt_completion"}
    with pytest.raises(Exception, match=r'set constants: {system: ""}'):
        read(tmp_path, source, max_rejected_fraction=0.0)
    records, rejected, _ = read(tmp_path, source | {"constants": {"system": ""}})
    assert rejected == {"a.jsonl:1": "control_token"}
    assert [record.messages[-1] for record in records] == [ANSWER]
