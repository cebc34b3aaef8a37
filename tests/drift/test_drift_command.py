"""`make drift` on a log: table, drift.json, page, exit codes and mistakes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lockstep import records
from tests.conftest import REPOSITORY, write_params
from tests.drift.test_compared_texts import build_record, build_request

NUMBERS = ["alpha", "beta", "gamma", "delta", "eta", "theta", "iota", "kappa", "mu", "nu"]


def run(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lockstep.drift", "--log", "log", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def write_log(folder: Path, texts: list[str], **values: Any) -> None:
    (folder / "log").mkdir(exist_ok=True)
    system = {"role": "system", "content": "Name it."}
    requests = [build_request(text, time=time.time(), **values) for text in texts]
    requests = [{**request, "messages": [system, *request["messages"]]} for request in requests]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    (folder / "log/requests.jsonl").write_text(lines, encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 100 training records in Greek."""
    folder = tmp_path_factory.mktemp("drift")
    write_params(folder, {"serving.drift": {"minimum_texts": 40}, "serving.log_folder": None})
    prepared = folder / "data/prepared"
    prepared.mkdir(parents=True)
    texts = [f"πού είναι το δέμα {first} {second}" for first in NUMBERS for second in NUMBERS]
    records.write(prepared / "train.jsonl", [build_record(text, "order") for text in texts])
    (prepared / "labels.json").write_text('{"intent": ["order", "other"]}', encoding="utf-8")
    return folder


def test_drift_is_reported_with_escaped_examples(project: Path) -> None:
    texts = [
        f"제 <b>소포</b>는 어디에 있나요 {first} {second}"
        for first in NUMBERS
        for second in NUMBERS
    ]
    write_log(project, texts, answer="other")
    result = run(project, "--fail")
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("drift: ")
    assert "100 requests in 100 conversations" in result.stdout
    content = json.loads((project / "log/drift.json").read_text("utf-8"))
    assert content["alarm"] is True
    assert abs(content["time"] - time.time()) < 60
    assert content["tests"]["script"] == {
        "alarm": True, "effect": pytest.approx(1, abs=0.01), "p": 1e-4,
        "p_adjusted": pytest.approx(4e-4, abs=4e-4), "requests": 100, "training_records": 100,
    }  # fmt: skip
    assert content["tests"]["labels"]["alarm"] is True
    assert "소포" not in (project / "log/drift.json").read_text("utf-8")
    page = (project / "log/drift.html").read_text("utf-8")
    assert "제 &lt;b&gt;소포&lt;/b&gt;는" in page
    assert "<b>" not in page
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_without_drift_the_page_has_no_texts(project: Path) -> None:
    texts = [f"πού είναι το δέμα {first} {second}" for first in NUMBERS for second in NUMBERS]
    write_log(project, texts[::2], answer="order")
    out = project / "page.html"
    result = run(project, "--fail", "--out", str(out))
    assert result.returncode == 0, result.stderr + result.stdout
    assert "no drift: " in result.stdout
    assert "system prompt" in result.stdout
    assert "blockquote lang" not in out.read_text("utf-8")


def test_too_few_texts_are_said_and_no_alarm(project: Path) -> None:
    write_log(project, ["one question", "another"])
    result = run(project, "--fail")
    assert result.returncode == 0, result.stderr
    assert "too few texts: " in result.stdout
    assert "Needed: 40 of each." in result.stdout
    assert json.loads((project / "log/drift.json").read_text("utf-8"))["tests"] == {}
    assert "Too few texts" in (project / "log/drift.html").read_text("utf-8")


def test_a_missing_log_is_a_mistake(project: Path) -> None:
    result = run(project, "--log", "nowhere")
    assert result.returncode == 2
    assert result.stderr.startswith("error: nowhere: no such folder")


def test_a_folder_without_a_log_is_a_mistake(project: Path) -> None:
    result = run(project, "--log", "data")
    assert result.returncode == 2
    assert result.stderr.startswith("error: data: no requests.jsonl; give the folder of serving.")
    assert [path.name for path in (project / "data").iterdir()] == ["prepared"]


def test_a_folder_in_the_place_of_the_page_is_a_mistake(project: Path) -> None:
    result = run(project, "--out", "data")
    assert result.returncode == 2
    assert "File 'data' is a directory" in result.stderr


def test_without_a_log_the_setting_is_named(project: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "lockstep.drift"],
        cwd=project,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: params.yaml: serving.log_folder: ")
