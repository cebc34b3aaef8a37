"""Rows with invalid bytes are rejected by name, and all others are read."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lockstep.data import contamination, source_reading
from lockstep.data.rejected_rows import RejectedRow
from lockstep.errors import UserError
from lockstep.records import Record
from tests.data.test_prepare_params import make_params

GOOD = [
    {"prompt": f"问题{number}是什么？", "completion": "这是答案。", "note": "备注"}
    for number in range(30)
]
MARK = "DAMAGED"


def read(folder: Path, **settings: Any) -> tuple[list[Record], Sequence[RejectedRow]]:
    source = {"path": "a.jsonl", "format": "prompt_completion", **settings}
    params = make_params(source, max_rejected_fraction=1.0)
    table, converted, _ = source_reading.read_sources(folder, params, seed=7)
    return [table.load_record(number) for number in range(len(table))], converted.rejected


def damage(rows: Sequence[dict[str, str]], name: str, encoding: str) -> bytes:
    """Return the rows as a file, in which MARK stands for two invalid bytes."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = "".join(f"{line}\n" for line in lines)
    if name.startswith("a.csv"):
        text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])
    elif name.startswith("a.json") and "jsonl" not in name:
        text = f"[{', '.join(lines)}]"
    data = text.encode(encoding).replace(MARK.encode(), b"\xff\xff")
    return gzip.compress(data) if name.endswith(".gz") else data


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.csv.gz", "a.jsonl.gz"])
def test_only_rows_that_need_a_damaged_text_are_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, encoding: str
) -> None:
    rows = [*GOOD, {**GOOD[0], "completion": f"答案{MARK}"}, {**GOOD[1], "note": MARK}]
    (tmp_path / name).write_bytes(damage(rows, name, encoding))
    records, rejected = read(tmp_path, path=name, encoding=encoding)
    assert len(records) == 31
    assert [(row.reason, row.detail) for row in rejected] == [
        ("invalid_bytes", f"ff ff cannot be decoded as {encoding}")
    ]
    assert f"bytes that are invalid in {encoding}" in capsys.readouterr().err


def test_a_damaged_delimiter_and_a_damaged_name_reject_their_rows(tmp_path: Path) -> None:
    text = "prompt,completion\n" + "问题,答案\n" * 5 + f"问题{MARK}答案\n"
    (tmp_path / "a.csv").write_bytes(text.encode().replace(MARK.encode(), b"\xff"))
    records, rejected = read(tmp_path, path="a.csv")
    assert (len(records), [row.reason for row in rejected]) == (5, ["invalid_bytes"])
    rows = [*GOOD, {**GOOD[0], f"a{MARK}": "x"}]
    (tmp_path / "a.jsonl").write_bytes(damage(rows, "a.jsonl", "utf-8"))
    records, rejected = read(tmp_path)
    assert (len(records), [row.reason for row in rejected]) == (30, ["invalid_bytes"])


def test_an_array_in_a_jsonl_file_is_recognized_despite_damage(tmp_path: Path) -> None:
    rows = [{**GOOD[0], "completion": MARK}, *GOOD]
    (tmp_path / "a.jsonl").write_bytes(damage(rows, "a.json", "utf-8"))
    records, rejected = read(tmp_path)
    assert (len(records), [row.reason for row in rejected]) == (30, ["invalid_bytes"])


def test_few_damaged_lines_in_ascii_text_reject_their_rows(tmp_path: Path) -> None:
    lines = [f'{{"prompt": "question {number}", "completion": "x"}}\n' for number in range(30)]
    damaged = b'{"prompt": "%b", "completion": "x"}\n'
    (tmp_path / "a.jsonl").write_bytes("".join(lines).encode() + damaged % b"a\xff\xffb")
    records, rejected = read(tmp_path)
    assert (len(records), [row.reason for row in rejected]) == (30, ["invalid_bytes"])
    (tmp_path / "a.jsonl").write_bytes("".join(lines).encode() + damaged % "café".encode("cp1252"))
    with pytest.raises(UserError, match="it looks like cp1252"):
        read(tmp_path)
    (tmp_path / "a.jsonl").write_bytes("".join(lines[:9]).encode() + damaged % b"a\xff\xffb")
    with pytest.raises(UserError, match="not utf-8 at byte"):
        read(tmp_path)


def test_half_an_emoji_is_no_invalid_byte(tmp_path: Path) -> None:
    row = json.dumps({"prompt": "a", "completion": "b\ud83d"})
    (tmp_path / "a.jsonl").write_text(f'{row}\n{{"prompt": "a", "completion": "b"}}\n')
    assert [row.reason for row in read(tmp_path)[1]] == ["lone_surrogate"]


def test_a_damaged_answer_of_a_second_file_rejects_its_row(tmp_path: Path) -> None:
    questions = [{"id": str(number), "prompt": "问题"} for number in range(5)]
    answers = [{"id": str(number), "completion": "答案"} for number in range(4)]
    (tmp_path / "a.jsonl").write_bytes(damage(questions, "a.jsonl", "utf-8"))
    answers.append({"id": "4", "completion": MARK})
    (tmp_path / "b.jsonl").write_bytes(damage(answers, "b.jsonl", "utf-8"))
    records, rejected = read(tmp_path, answers="b.jsonl")
    assert (len(records), [row.reason for row in rejected]) == (4, ["invalid_bytes"])
    answers[4] = {"id": MARK, "completion": "答案"}
    (tmp_path / "b.jsonl").write_bytes(damage(answers, "b.jsonl", "utf-8"))
    with pytest.raises(UserError, match=r"b.jsonl:5: invalid_bytes; each answer needs"):
        read(tmp_path, answers="b.jsonl")


def test_the_text_around_damage_in_a_benchmark_is_protected(tmp_path: Path) -> None:
    rows = [*GOOD, {"prompt": f"这是一个很长的问题 {MARK} one two three"}]
    (tmp_path / "a.jsonl").write_bytes(damage(rows, "a.jsonl", "utf-8"))
    benchmarks = contamination.read_benchmarks(tmp_path, ["a.jsonl"])
    assert benchmarks["a.jsonl"][-1][1] == "这是一个很长的问题 \ufffd one two three"
    protected = contamination.protect_benchmarks(benchmarks, 3)
    assert len(protected.ngrams.offsets) == len(benchmarks["a.jsonl"]) + 1
