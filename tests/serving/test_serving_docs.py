"""docs/serving.md: every snippet runs, on the running server or as a plain command."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.serving.conftest import RunningServer, read_events, wait_for_lines

PAGE = (REPOSITORY / "docs/serving.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SERVE, PYTHON, CURL, KEY = SNIPPETS[:4]
FEEDBACK = next(snippet for snippet in SNIPPETS if "/feedback" in snippet)
ADDRESS = "http://127.0.0.1:8000"


def test_make_passes_the_port(tmp_path: Path) -> None:
    line = subprocess.check_output(
        ["make", "--dry-run", "serve", "PORT=8000"], cwd=REPOSITORY, text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
    ).splitlines()[-1]  # fmt: skip
    assert SERVE.strip() == "make serve PORT=8000"
    assert line == ".venv/bin/python -m lockstep.serving --port 8000"


def test_the_client_of_openai_prints_an_answer(server: RunningServer) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(PYTHON.replace(ADDRESS, server.url), {})  # noqa: S102 - our documentation
    assert output.getvalue().strip()


def test_feedback_and_an_outcome_are_stored_with_the_keys_that_the_page_names(
    server: RunningServer, served_folder: Path
) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(FEEDBACK.replace(ADDRESS, server.url), {})  # noqa: S102 - our documentation
    assert "'texts_logged': True" in output.getvalue()
    lines = {
        name: wait_for_lines(served_folder / "logs", 1, name)[-1]
        for name in ("requests.jsonl", "feedback.jsonl", "outcomes.jsonl")
    }
    assert lines["feedback.jsonl"]["correction"] == "It arrives on Monday."
    assert lines["outcomes.jsonl"]["value"] == 1.0
    for name, line in lines.items():
        row = next(text for text in PAGE.splitlines() if text.startswith(f"| `{name}` |"))
        assert line.keys() <= set(re.findall(r"`(\w+)`", row))


def test_curl_prints_a_stream(server: RunningServer) -> None:
    command = CURL.replace(ADDRESS, server.url)
    output = subprocess.check_output(["sh", "-ec", command], text=True)
    assert read_events(output)[-1] == "[DONE]"


def test_the_command_for_a_key_writes_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    subprocess.run(["sh", "-ec", KEY.replace("python", sys.executable, 1)], check=True)
    assert re.fullmatch(r"shop:[0-9a-f]{64}\n", Path("build/api_keys").read_text())
