"""The full loop: serve, log, correct, harvest, and retrain with replay."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from lockstep.harvest.__main__ import main as harvest
from lockstep.statistics import confidence_intervals
from tests.conftest import REPOSITORY, STARTER
from tests.serving.conftest import SETTINGS, run_server

SYSTEM = "Name the intent."
ITEMS = (
    "lamp", "kettle", "blue chair", "carpet", "printer", "bicycle", "green tent", "toaster",
    "winter coat", "violin", "garden hose", "mirror", "office desk", "red sofa",
)  # fmt: skip
OLD = {
    "track": ["Where is the {} that I ordered?", "When does the {} come?"],
    "refund": ["Give me my money back for the {}.", "I want a refund: {}"],
    "cancel_order": ["Cancel my order of the {}", "Stop it, no {} for me please"],
}
"""Phrasings on which the first model is trained."""
NEW = {
    "track": "Not a word about the {} since Monday",
    "refund": "The {} arrived in a hundred pieces",
    "cancel_order": "A neighbour gave us a {}, so there is no need for another",
}
"""Phrasings that come up in use."""
CHANGES: dict[str, Any] = {
    **SETTINGS,
    "base.source": "path",
    "prepare.duplicates": {"threshold": 0.8, "near": "group", "conflicts": "keep"},
    "prepare.split": {"method": "stratified", "validation": 0.1, "test": 0.25},
    "augment": {"methods": []},
    "train.strategy": "full",
    "train.adapter": {},
    "train.learning_rate": 2e-3,
    "train.epochs": 5.0,
    "train.batch_size": 8,
    "train.evaluation_steps": 0,
    "quantize.method": "gguf_q8_0",
    "predict.lm_eval": {"records": 0},
    "predict.max_new_tokens": 8,
    "evaluate.summary_slices": [],
    "serving.models": ["tuned"],
    "serving.log_folder": "requests",
}


def label_cases(phrasings: dict[str, Any], items: tuple[str, ...]) -> dict[str, str]:
    """Return question -> label."""
    return {
        text.format(item): label
        for label, texts in phrasings.items()
        for text in ([texts] if isinstance(texts, str) else texts)
        for item in items
    }


class Project:
    """A working directory in which stages and the server run."""

    def __init__(self, folder: Path, run: Callable[..., str]) -> None:
        self.folder, self.run = folder, run
        self.changes: dict[str, Any] = {**CHANGES, "base.path": str(STARTER)}
        source = {
            "path": "intent.csv", "format": "classification", "task": "intent",
            "columns": {"label": "intent", "text": "text"}, "system": SYSTEM,
        }  # fmt: skip
        self.changes["prepare.sources"] = [source]
        for name in ("raw", "human", "tasks", "adapters"):
            (folder / "data" / name).mkdir(parents=True)
        for name in ("synonyms.tsv", "rubric.yaml"):
            shutil.copy(REPOSITORY / "data" / name, folder / "data")
        rows = [f'"{text}",{label}' for text, label in label_cases(OLD, ITEMS).items()]
        (folder / "data/raw/intent.csv").write_text("\n".join(["text,intent", *rows]), "utf-8")

    def repro(self, last: str) -> None:
        """Run the stages as dvc.yaml does, up to one of them."""
        pipeline = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text())
        for title, stage in pipeline["stages"].items():
            for variant in stage.get("matrix", {"variant": [""]})["variant"]:
                command = stage["cmd"].replace("${item.variant}", variant)
                command = command.replace("data/starter/model", str(STARTER))
                name, *arguments = command.split()[3:]
                self.run(name.removeprefix("stages."), *arguments, changes=self.changes)

            if title == last:
                return

    def read(self, path: str) -> Any:
        return json.loads((self.folder / path).read_text("utf-8"))

    def read_origins(self, split: str) -> list[str]:
        """Return the places of the rows that are in a split."""
        lines = (self.folder / f"data/prepared/{split}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line)["origin"] for line in lines]

    @contextmanager
    def serve(self) -> Iterator[httpx2.Client]:
        with run_server(self.folder, self.changes) as server:
            yield httpx2.Client(base_url=server.url, timeout=60)


def ask(client: httpx2.Client, question: str, model: str = "tuned") -> tuple[str, str]:
    """Return the id of a request and its answer."""
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    response = client.post("/v1/chat/completions", json={"model": model, "messages": turns})
    assert response.status_code == 200, response.text
    body = response.json()
    return response.headers["x-request-id"], body["choices"][0]["message"]["content"]


@pytest.mark.slow
def test_corrections_from_use_are_learnt_and_nothing_is_forgotten(
    tmp_path: Path, run_stage_in_process: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("RESAMPLES", "PERMUTATIONS"):
        monkeypatch.setattr(confidence_intervals, number, 50)  # intervals are tested elsewhere
    project = Project(tmp_path, run_stage_in_process)
    project.repro("quantize")
    old_tests = project.read_origins("test")

    cases = label_cases(NEW, ITEMS)
    with project.serve() as client:
        answers = {question: ask(client, question) for question in cases}
        wrong = [question for question in cases if answers[question][1] != cases[question]]
        for question in wrong:
            body = {"request_id": answers[question][0], "correction": cases[question]}
            assert client.post("/v1/feedback", json=body).status_code == 200
    assert len(wrong) >= 10, "too few errors to learn from"

    command = ["data/raw", "data/prepared", "--log", "requests", "--out", "harvest-1"]
    harvest.main(command, standalone_mode=False)
    (entry,) = YAML(typ="safe", pure=True).load((tmp_path / "harvest-1/source.yaml").read_text())
    assert entry["round"] == 1
    shutil.copy(tmp_path / "harvest-1/corrections.jsonl", tmp_path / "data/raw" / entry["path"])
    shutil.copytree(tmp_path / "data/merged", tmp_path / "models/round-0")
    project.changes["prepare.sources"].append(entry)
    project.changes |= {
        "base.path": "models/round-0",
        "augment": {"methods": [], "replay": 0.5},
        "serving.models": ["tuned", "base"],
    }
    project.repro("report")

    assert project.read_origins("test") == old_tests, "the old test set stays"
    replay = project.read("data/augmented/card.json")["replay"]
    assert replay["new"] == {"records": len(wrong), "rows": len(wrong)}
    assert len(wrong) / 2 < replay["old"]["rows"] < 2 * len(wrong) < replay["old"]["records"]
    old = project.read("reports/details.json")["forgetting"]["old"]["intent"]
    assert old["records"] == len(old_tests)
    assert old["before"] > 0.9 and old["after"] > 0.9
    metrics = project.read("reports/metrics.json")
    assert metrics["forgetting"]["intent"] == pytest.approx(old["before"] - old["after"], abs=1e-4)
    report = (tmp_path / "reports/report.md").read_text("utf-8")
    assert "Forgetting on the test records of earlier rounds: " in report
    assert "Replay: " in report
    with project.serve() as client:
        last_model, new_model = (
            sum(ask(client, question, model)[1] == cases[question] for question in wrong)
            for model in ("base", "tuned")
        )
    assert last_model == 0
    assert new_model >= 0.9 * len(wrong)
