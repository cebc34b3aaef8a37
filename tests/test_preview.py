"""The preview shows what training reads and learns."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lockstep import preview, records
from lockstep.models import loading
from lockstep.records import Record
from tests.conftest import write_params
from tests.seq2seq_models import make_translations, write_t5

RECORD_KEYS = {"id": "a", "task": "reply", "source": "a.csv", "origin": "a.csv:1"}
LINE = {"messages": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes 好"}]}


@pytest.fixture
def run_preview(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run the command on lines of text, in a folder without params.yaml."""
    monkeypatch.chdir(tmp_path)

    def run(*lines: str, options: tuple[str, ...] = ()) -> Result:
        Path("rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return CliRunner().invoke(preview.main, [str(tiny_model), "rows.jsonl", *options])

    return run


def test_the_learnt_text_is_between_marks_and_the_tokens_are_counted(
    run_preview: Callable[..., Result],
):
    heading, *text = run_preview(json.dumps(LINE)).output.splitlines()
    assert heading.startswith("rows.jsonl:1: ")
    assert heading.endswith(" learnt")
    assert "\n".join(text) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n⟦yes 好<|im_end|>⟧\n"
    )


def test_json_has_the_ids_and_labels_of_training(
    run_preview: Callable[..., Result], tiny_model: Path, corpus: list[Record]
):
    result = run_preview(*(records.dump(row).decode() for row in corpus), options=("--json",))
    tokenizer = loading.load_tokenizer(tiny_model)
    examples = [tokenizer.encode_example(row, 10_000) for row in corpus]
    assert [json.loads(line) for line in result.output.splitlines()] == [
        {"input_ids": example.input_ids, "labels": example.labels} for example in examples
    ]


def test_number_limits_the_records(run_preview: Callable[..., Result]):
    lines = [json.dumps(LINE)] * 3
    assert len(run_preview(*lines, options=("--json", "--number", "2")).output.splitlines()) == 2


def test_max_length_cuts_json_and_marks_the_text(run_preview: Callable[..., Result]):
    whole = json.loads(run_preview(json.dumps(LINE), options=("--json",)).output)
    length = len(whole["input_ids"]) - 2
    options = ("--max-length", str(length))
    cut = json.loads(run_preview(json.dumps(LINE), options=("--json", *options)).output)
    assert cut == {name: values[:length] for name, values in whole.items()}
    text = run_preview(json.dumps(LINE), options=options).output
    assert "; training cuts 2 tokens, 2 of them learnt\n" in text
    assert f"--- cut at {length} tokens ---\n" in text


def test_the_text_is_marked_at_the_length_in_params_yaml(run_preview: Callable[..., Result]):
    write_params(Path(), {"train.max_length": 9})
    assert "--- cut at 9 tokens ---" in run_preview(json.dumps(LINE)).output
    ids = json.loads(run_preview(json.dumps(LINE), options=("--json",)).output)["input_ids"]
    assert len(ids) > 9


TWO_TURNS = json.dumps({"messages": LINE["messages"] + [
    {"role": "user", "content": "sure?"}, {"role": "assistant", "content": "no"}
]})  # fmt: skip


def test_the_turns_that_params_yaml_chooses_are_marked(run_preview: Callable[..., Result]):
    assert run_preview(TWO_TURNS).output.count("⟦") == 1
    write_params(Path(), {"train.sft.loss_on": "all"})
    output = run_preview(TWO_TURNS).output
    assert "⟦yes 好<|im_end|>⟧" in output
    assert "⟦no<|im_end|>⟧" in output


@pytest.mark.parametrize("loss_on", ["last", "all"])
def test_a_turn_s_own_weight_decides_whether_it_is_marked(
    run_preview: Callable[..., Result], loss_on: str
):
    write_params(Path(), {"train.sft.loss_on": loss_on})
    turns = json.loads(TWO_TURNS)["messages"]
    turns[1]["weight"] = 0
    output = run_preview(json.dumps({"messages": turns})).output
    assert "yes 好" in output and "weight" not in output
    assert (output.count("⟦"), output.count("⟦no<|im_end|>⟧")) == (1, 1)
    turns[1]["weight"] = 1
    assert "⟦yes 好<|im_end|>⟧" in run_preview(json.dumps({"messages": turns})).output


def test_a_classifier_reads_the_prompt_and_learns_no_text(run_preview: Callable[..., Result]):
    write_params(Path(), {"train.objective": "classification"})
    output = run_preview(json.dumps(LINE)).output
    assert " tokens, 0 learnt\n" in output
    assert "yes" not in output


def test_source_and_target_of_a_sequence_to_sequence_model_are_shown(tmp_path: Path):
    write_t5(tmp_path / "t5")
    (tmp_path / "rows.jsonl").write_bytes(records.dump(make_translations()[0]))
    result = CliRunner().invoke(preview.main, [str(tmp_path / "t5"), str(tmp_path / "rows.jsonl")])
    assert result.output.partition("\n")[2] == (
        "translate English to German: the house is red</s>⟦das Haus ist rot</s>⟧\n\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "rows.jsonl:2: not valid JSON"),
        ("[1]", "rows.jsonl:2: no messages; write a record or "),
        ('{"messages": [{"role": "user", "content": "a"}]}', "rows.jsonl:2: ends_without_answer"),
        ('{"messages": [{"role": "king", "content": "a"}]}', "rows.jsonl:2: unknown_role"),
        (
            '{"messages": [{"role": "user", "content": "a"}], "tools": 5}',
            "rows.jsonl:2: tool_without",
        ),
        (json.dumps({**LINE, **RECORD_KEYS, "messages": []}), "rows.jsonl:2: missing_messages"),
        (json.dumps({**LINE, **RECORD_KEYS, "messages": [{}]}), "rows.jsonl:2: missing_role"),
        (json.dumps({**LINE, **RECORD_KEYS, "more": 1}), "rows.jsonl:2: Record.__init__() got an"),
    ],
)
def test_a_line_that_is_no_record_is_an_error_with_its_number(
    run_preview: Callable[..., Result], line: str, message: str
):
    result = run_preview(json.dumps(LINE), line)
    assert result.exit_code == 2
    assert message in result.output


def test_a_file_without_records_is_an_error(run_preview: Callable[..., Result]):
    result = run_preview("", "")
    assert result.exit_code == 2
    assert "rows.jsonl: no records" in result.output
