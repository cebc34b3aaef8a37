"""The format and the columns of a file are recognized from its rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.init.guess_source import guess_source

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]


def write_rows(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "format", "columns"),
    [
        ({"instruction": "Add.", "input": "1 2", "output": "3"}, "alpaca", {}),
        ({"instruction": "Add 1.", "response": "3"}, "alpaca", {"output": "response"}),
        ({"messages": TURNS, "id": 7}, "messages", {}),
        ({"conversations": SHAREGPT}, "sharegpt", {}),
        ({"question": "Why?", "answer": "So."}, "prompt_completion",
         {"prompt": "question", "completion": "answer"}),
        ({"prompt": "Why?", "chosen": "So.", "rejected": "No."}, "preference", {}),
        ({"chosen": TURNS, "rejected": TURNS}, "preference", {}),
        ({"prompt": "Why?", "completion": "So.", "label": True}, "unpaired_preference", {}),
        ({"text": "My card is lost", "category": "lost"}, "classification", {"label": "category"}),
        ({"text": "Lost and late", "labels": ["lost", "late"]}, "multi_label", {}),
        ({"review": "Good", "stars": 4.5}, "regression", {"text": "review", "value": "stars"}),
        ({"text": "Just text."}, "text", {}),
        ({"data": {"text": "Hi"}, "annotations": []}, "label_studio", {}),
    ],
)  # fmt: skip
def test_each_format_is_recognized_by_its_columns(
    tmp_path: Path, row: dict[str, Any], format: str, columns: dict[str, str]
):
    guess = guess_source(write_rows(tmp_path, [row] * 4))
    assert (guess.format, guess.columns) == (format, columns)


def test_preferences_train_by_dpo_and_texts_by_sft(tmp_path: Path):
    pair = write_rows(tmp_path, [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    assert guess_source(pair).objective == "dpo"
    assert guess_source(write_rows(tmp_path, [{"text": "a"}])).objective == "sft"


def test_a_column_with_as_many_values_as_rows_is_not_a_label(tmp_path: Path):
    rows = [{"query": f"q{n}", "category": f"c{n}"} for n in range(9)]
    with pytest.raises(UserError, match="no format fits the columns query, category"):
        guess_source(write_rows(tmp_path, rows))


def test_a_preference_file_is_not_mistaken_for_conversations(tmp_path: Path):
    row = {"conversations": SHAREGPT, "chosen": {"value": "a"}, "rejected": {"value": "b"}}
    with pytest.raises(UserError, match="no format fits the columns conversations, chosen"):
        guess_source(write_rows(tmp_path, [row]))


def test_labels_languages_and_lengths_are_counted(tmp_path: Path):
    rows = [{"text": "lost card", "label": "lost"}] * 3 + [{"text": "卡丢了", "label": "lost"}]
    guess = guess_source(write_rows(tmp_path, [*rows, {"text": "late", "label": "late"}]))
    assert guess.labels == {"lost": 4, "late": 1}
    assert guess.languages == {"latin": 4, "zh": 1}
    assert guess.characters == (14, 14)


def test_the_encoding_of_a_file_is_detected(tmp_path: Path):
    path = tmp_path / "rows.csv"
    lines = ["text,label"] + [f"我的银行卡在{n}号丢了，请帮我查询一下,挂失" for n in range(40)]
    path.write_bytes("\n".join(lines).encode("gb18030"))
    guess = guess_source(path)
    assert guess.encoding in ("gb18030", "gbk", "gb2312")
    assert guess.labels == {"挂失": 40}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("rows.txt", "a", "must end in .jsonl"),
        ("rows.jsonl", "", "no row with columns"),
        ("rows.jsonl", "[1]\n2\n", "no row with columns"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, text: str, line: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=line):
        guess_source(tmp_path / name)
