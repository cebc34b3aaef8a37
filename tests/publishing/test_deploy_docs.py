"""docs/deploy.md: every snippet runs on a small clone, or its paragraph says that it is not run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from lockstep.models.gguf_folder import GGUF_FILE
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/deploy.md").read_text(encoding="utf-8")
BLOCKS = [
    (PAGE[: match.start()].rstrip().rsplit("\n\n", 1)[-1], match[1], match[2])
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
"""Paragraph before a snippet, its language and its text."""
RUN = [(language, text) for before, language, text in BLOCKS if "Not run: " not in before]


@pytest.fixture
def made_clone(clone: Path) -> Path:
    """The clone with the Makefile of the repository; its python prints the arguments alone."""
    shutil.copy(REPOSITORY / "Makefile", clone)
    (clone / ".venv/bin").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", ".venv/installed"):
        (clone / name).touch()
    python = clone / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    return clone


def run_shell(text: str, export: Callable[..., Result]) -> str:
    """Run the command of a make verb within this process."""
    outer = {"MAKEFLAGS", "MAKELEVEL"}  # of `make test`: make would name its folder in the output
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    line = subprocess.check_output(["sh", "-ec", text], env=environment, text=True)
    module, *arguments = line.removeprefix("-m ").split()
    assert module == "lockstep.publishing"
    result = export(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_python(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a snippet; one with a server has a process of its own."""
    if "xllamacpp" in text:
        return subprocess.check_output([sys.executable, "-c", text], text=True, timeout=120)
    capsys.readouterr()
    exec(text, {})  # noqa: S102 - a snippet of our documentation
    return capsys.readouterr().out


def test_snippets_run_in_their_order(
    made_clone: Path, export: Callable[..., Result], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [
        run_shell(text, export) if language == "sh" else run_python(text, capsys)
        for language, text in RUN
    ]
    listing, folder, answer, ollama, served = outputs
    assert listing == folder, "the dry run lists the same files"
    assert "model.safetensors" in folder and "model.gguf" in ollama
    names = {path.name for path in (made_clone / "build/export/ollama").iterdir()}
    assert names == {"Modelfile", "README.md", GGUF_FILE}
    assert answer.strip() and served.strip()


def test_every_other_snippet_says_that_it_is_not_run() -> None:
    assert PAGE.count("\n```") == 2 * len(BLOCKS)
    assert len(BLOCKS) - len(RUN) == PAGE.count("Not run: ")
