"""The preview of the data shows what `prepare` reads, before the stage runs."""

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockstep import data_preview
from tests.conftest import REPOSITORY, write_params

PAIR = {"prompt": "Where is it?", "completion": "On its way."}
SOURCE = {"path": "a.jsonl", "format": "prompt_completion"}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with params.yaml and raw/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    return tmp_path


def write_rows(*rows: Any, name: str = "a.jsonl") -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    Path("raw", name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_sources(*sources: dict[str, Any], **changes: Any) -> None:
    values = {f"prepare.{name}": value for name, value in changes.items()}
    write_params(Path(), {"prepare.sources": [{**SOURCE, **s} for s in sources], **values})


def preview(*arguments: str) -> list[str]:
    result = CliRunner().invoke(data_preview.main, ["raw", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-m", "lockstep.data_preview", "raw", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_records_changes_rejected_rows_and_columns_are_shown() -> None:
    write_rows(
        {**PAIR, "prompt": "Where  is\u200b it?", "lang": "en", "odd": 1},
        {"prompt": "no answer", "lang": "en"},
    )
    write_sources({"slices": ["lang"], "system": "Be brief.", "weight": 2.0})
    result = run_command()
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "a.jsonl: format prompt_completion, task a",
        "a.jsonl:1: lang en, weight 2",
        "  system: Be brief.",
        "  user: Where is it?",
        "  assistant: On its way.",
        "  cleaned user (invisible, space): Where [-·-]is[-⟨U+200B⟩-] it?",
        "a.jsonl:2: rejected: missing_completion (the row has prompt, lang; "
        "columns: {completion: …} names another column)",
        '  row: {"prompt": "no answer", "lang": "en"}',
        "note: a.jsonl: columns that nothing reads: odd",
        "",
        "preview-data: looked at 2 rows of 1 source: 1 records, 1 rejected",
    ]


def test_nothing_is_written() -> None:
    write_rows(PAIR)
    write_sources({})
    preview()
    assert sorted(map(str, Path().rglob("*"))) == ["params.yaml", "raw", "raw/a.jsonl"]


def test_turns_that_are_not_learnt_tools_reasoning_and_calls_are_shown() -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": {"id": 1}}}
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "", "reasoning": "look it up", "tool_calls": [call]},
    ]
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    write_rows({"messages": turns, "tools": [tool]})
    write_sources({"format": "messages"})
    output = "\n".join(preview())
    assert '\n  tool: {"name": "find"' in output
    assert "\n  assistant (weight 0, not learnt): b\n" in output
    assert "\n  assistant, reasoning: look it up\n" in output
    assert '\n  assistant, call: {"name": "find", "arguments": {"id": 1}}\n' in output


def test_the_rejected_answer_and_the_margin_of_a_preference_are_shown() -> None:
    write_rows({"prompt": "q", "chosen": "good", "rejected": "bad", "margin": 1.5})
    write_sources({"format": "preference"})
    output = preview()
    assert output[1:5] == [
        "a.jsonl:1: margin 1.5",
        "  user: q",
        "  assistant: good",
        "  rejected answer: bad",
    ]


def test_number_limits_records_and_rejected_rows() -> None:
    rejected = [{"prompt": "x"}] * 3
    write_rows(PAIR, *rejected, *[PAIR] * 9, "not read")
    write_sources({})
    output = preview("--number", "2")
    places = [line.partition(" (")[0] for line in output if re.match(r"a\.jsonl:\d", line)]
    assert places == [
        "a.jsonl:1",
        "a.jsonl:2: rejected: missing_completion",
        "a.jsonl:3: rejected: missing_completion",
        "a.jsonl:5",
    ]
    assert output[-3] == "3 rows rejected: missing_completion 3"
    assert output[-1].endswith("looked at 5 rows of 1 source: 2 records, 3 rejected")


def test_where_limit_and_constants_of_the_source_are_obeyed() -> None:
    write_rows(*({**PAIR, "n": number} for number in range(9)))
    write_sources({"where": "n >= 4", "limit": 2, "constants": {"lang": "en"}, "slices": ["lang"]})
    places = [line for line in preview() if line.startswith("a.jsonl:") and "lang" in line]
    assert places == ["a.jsonl:5: lang en", "a.jsonl:6: lang en"]


def test_a_source_of_which_where_leaves_nothing_says_so() -> None:
    write_rows({**PAIR, "n": 1}, {**PAIR, "n": 2})
    write_sources({"where": "n > 2"})
    assert "no row is left; left out by where 2" in preview()


def test_sample_shows_rows_that_prepare_chooses() -> None:
    write_rows(*({"prompt": f"question {n}", "completion": "yes"} for n in range(60)))
    write_sources({"sample": 5})
    chosen = [line for line in preview() if line.startswith("  user: ")]
    assert len(chosen) == 5
    assert chosen != [f"  user: question {n}" for n in range(5)]


def test_only_the_first_rows_of_a_large_file_are_read() -> None:
    """A file that is damaged later on can be shown."""
    lines = "".join(f'{{"prompt": "q{n}", "completion": "a"}}\n' for n in range(50_000)).encode()
    Path("raw/a.jsonl.gz").write_bytes(gzip.compress(lines)[:-5000])
    write_sources({"path": "a.jsonl.gz"})
    assert preview()[-1].endswith("looked at 10 rows of 1 source: 10 records, 0 rejected")


def test_a_file_of_rejected_rows_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_preview, "MAX_ROWS", 20)
    write_rows(*({**PAIR, "completion": ""} for _ in range(500)))
    write_sources({})
    output = preview("--number", "1")
    assert output[-1].endswith("looked at 20 rows of 1 source: 0 records, 20 rejected")


@pytest.mark.parametrize("name", ["b.jsonl", "data/raw/b.jsonl", "./b.jsonl"])
def test_a_source_is_named_by_its_path(name: str) -> None:
    write_rows(PAIR)
    write_rows(PAIR, name="b.jsonl")
    write_sources({}, {"path": "b.jsonl"}, {"path": "missing.jsonl"})
    assert preview(name)[0] == "b.jsonl: format prompt_completion, task b"


def test_parts_of_one_file_are_named_by_their_part() -> None:
    Path("raw/a.json").write_text(json.dumps({"one": [PAIR], "two": [PAIR, PAIR]}))
    write_sources({"path": "a.json", "rows": "one"}, {"path": "a.json", "rows": "two"})
    assert preview("a.json#two")[-1].endswith("2 rows of 1 source: 2 records, 0 rejected")
    assert preview("a.json")[-1].endswith("3 rows of 2 sources: 3 records, 0 rejected")


def test_an_unknown_source_is_an_error_with_the_nearest_one() -> None:
    write_rows(PAIR)
    write_sources({})
    result = run_command("a.json")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: a.json: no source in prepare.sources has this path; did you mean a.jsonl?\n"
    )


def test_mistakes_of_all_sources_are_reported_at_once() -> None:
    write_rows({"question": "q", "completion": "a"})
    write_sources({}, {"path": "b.jsonl"})
    result = run_command()
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("error: raw/a.jsonl: no column prompt; it has question, completion: ")
    assert second.startswith("error: raw/b.jsonl: ")


def test_all_mistakes_of_params_yaml_are_reported() -> None:
    write_rows(PAIR)
    write_sources({"format": "odd"}, max_rejected_fraction=7)
    result = run_command()
    assert result.returncode == 2
    assert "params.yaml: prepare.sources.0.format: " in result.stderr
    assert "params.yaml: prepare.max_rejected_fraction: " in result.stderr


def test_guesses_of_the_reader_are_noted() -> None:
    Path("raw/a.csv").write_text("prompt;completion\nq;a\n")
    write_sources({"path": "a.csv"})
    assert "note: raw/a.csv: cells are separated by ';' (guessed; delimiter sets it)" in preview()


def test_long_texts_are_shortened() -> None:
    write_rows({"prompt": "x" * 5000, "completion": "a"})
    write_sources({})
    line = next(line for line in preview() if line.startswith("  user: "))
    assert line == f"  user: {'x' * 2000}… (3000 more characters)"


def test_a_terminal_has_colours() -> None:
    write_rows({**PAIR, "prompt": "a  b"})
    write_sources({})
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep.data_preview", "raw"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=terminal,
    )
    assert process.wait() == 0
    os.close(terminal)
    output = os.read(reader, 10_000).decode()
    os.close(reader)
    assert "a \x1b[31m\x1b[9m·\x1b[0mb" in output
    assert "[-" not in output
