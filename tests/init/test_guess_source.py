"""The format and the columns of a file are recognized from its rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.init.guess_source import guess_source
from tests.data.test_source_reading import read

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
        ({"text": "My card is lost", "label": 3}, "classification", {}),
        ({"text": "My card is lost", "label": True}, "classification", {}),
        ({"text": "A", "label": 3, "label_text": "lost"}, "classification",
         {"label": "label_text"}),
        ({"conversations": SHAREGPT[:1], "chosen": SHAREGPT[1], "rejected": SHAREGPT[1]},
         "preference", {"prompt": "conversations"}),
        ({"text": "Lost", "labels": [3, 4]}, "multi_label", {}),
        ({"text": "Lost", "label": 0.25}, "regression", {"value": "label"}),
        ({"review": "Good", "stars": 4}, "regression", {"text": "review", "value": "stars"}),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
         "preference", {}),
        ({"instruction": "Add.", "context": "1 2", "response": "3"}, "alpaca",
         {"input": "context", "output": "response"}),
        ({"instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}]}, "alpaca",
         {"input": "instances.0.input", "output": "instances.0.output"}),
        ({"question": "Where?", "answers": {"text": ["Here"], "answer_start": [3]}},
         "prompt_completion", {"prompt": "question", "completion": "answers.text.0"}),
        ({"id": 7, "data": {"utterance": "Hi", "intent": "greet"}}, "classification",
         {"text": "data.utterance", "label": "data.intent"}),
        ({"meta": {}, "chat": {"messages": TURNS}}, "messages", {"messages": "chat.messages"}),
        ({"text": "Al", "entities": [{"start": 0, "end": 2, "label": "PER"}]}, "spans",
         {"spans": "entities"}),
        ({"text": "Al", "label": [[0, 2, "PER"]]}, "spans", {"spans": "label"}),
        ({"text": "Al", "label": {"name": {"Al": [[0, 1]]}}}, "spans", {"spans": "label"}),
        ({"data": [{"text": "to "}, {"text": "Al", "entity": "who"}]}, "spans",
         {"spans": "data"}),
        ({"tokens": ["Al", "ran"], "pos_tags": [1, 2], "ner_tags": [1, 0]}, "spans",
         {"spans": "ner_tags"}),
        ({"sentence": "Al ran", "tags": ["B-PER", "O"]}, "spans",
         {"text": "sentence", "spans": "tags"}),
        ({"utt": "at nine", "annot_utt": "at [time : nine]", "intent": "alarm"}, "spans",
         {"text": "utt", "spans": "annot_utt"}),
        ({"text": "Lost late", "labels": ["lost", "late"]}, "multi_label", {}),
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
    assert guess_source(write_rows(tmp_path, [row])).format == "preference"


def test_labels_languages_and_lengths_are_counted(tmp_path: Path):
    rows = [{"text": "lost card", "label": "lost"}] * 3 + [{"text": "卡丢了", "label": "lost"}]
    guess = guess_source(write_rows(tmp_path, [*rows, {"text": "late", "label": "late"}]))
    assert guess.labels == {"lost": 4, "late": 1}
    assert guess.languages == {"latin": 4, "zh": 1}
    assert guess.characters == (14, 14)


def test_the_files_of_a_folder_are_read_together(tmp_path: Path):
    (tmp_path / "parts").mkdir()
    write_rows(tmp_path / "parts", [{"text": "a", "label": "x"}] * 3, "1.jsonl")
    write_rows(tmp_path / "parts", [{"text": "b", "label": "y"}] * 2, "2.jsonl")
    guess = guess_source(tmp_path / "parts")
    assert (guess.format, guess.labels) == ("classification", {"x": 3, "y": 2})


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
        ("rows.doc", "a", "must end in .jsonl"),
        ("rows.jsonl", "", "no row with columns"),
        ("rows.jsonl", "1\n2\n", "no row with columns"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, text: str, line: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=line):
        guess_source(tmp_path / name)


def make_turn_rows(role: str, content: str, **columns: list[object]) -> list[dict[str, object]]:
    """Return two questions with their answers, one turn per row."""
    rows = [
        {role: "user" if number % 2 == 0 else "assistant", content: f"text {number}"}
        for number in range(4)
    ]
    return [
        {name: values[number] for name, values in columns.items()} | row
        for number, row in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (make_turn_rows("role", "content", conversation_id=[1, 1, 2, 2], turn=[0, 1, 0, 1]),
         {"conversation": "conversation_id"}),
        (make_turn_rows("from", "value", conversation=["a", "a", "b", "b"]),
         {"conversation": "conversation"}),
        (make_turn_rows("role", "text", message_id=["a", "b", "c", "d"],
                        parent_id=[None, "a", None, "c"]), {"parent": "parent_id"}),
    ],
)  # fmt: skip
def test_one_turn_per_row_is_recognized(
    tmp_path: Path, rows: list[dict[str, object]], columns: dict[str, str]
):
    guess = guess_source(write_rows(tmp_path, rows))
    assert (guess.format, guess.columns) == ("turns", columns)
    source = {"path": "rows.jsonl", "format": "turns", "columns": guess.columns}
    records, rejected, _ = read(tmp_path, source)
    assert not rejected
    assert [record.answer for record in records] == ["text 1", "text 3"]


def test_rows_of_one_text_each_are_no_turns(tmp_path: Path):
    rows = make_turn_rows("role", "content", conversation_id=[1, 2, 3, 4])
    assert guess_source(write_rows(tmp_path, rows)).format != "turns"
    rows = [{"speaker": f"Person {n}", "text": "a", "chat_id": 1} for n in range(4)]
    assert guess_source(write_rows(tmp_path, rows)).format != "turns"


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n",
        "<s>[INST] Hi [/INST] Hello </s>",
        "### Human: Hi### Assistant: Hello",
        "### Instruction:\nHi\n\n### Response:\nHello",
        "Human: Hi\n\nAssistant: Hello",
    ],
)
def test_chats_in_one_text_are_recognized(tmp_path: Path, text: str):
    guess = guess_source(write_rows(tmp_path, [{"text": text, "source": 1}] * 3))
    assert (guess.format, guess.columns) == ("messages", {"messages": "text"})
    records, _, _ = read(
        tmp_path, {"path": "rows.jsonl", "format": "messages", "columns": guess.columns}
    )
    assert [turn["content"] for turn in records[0].messages] == ["Hi", "Hello"]


def test_texts_beside_chats_are_texts(tmp_path: Path):
    rows = [{"text": "### Human: Hi### Assistant: Hello"}, {"text": "Once upon a time."}]
    assert guess_source(write_rows(tmp_path, rows)).format == "text"
