"""Each objective from raw rows to the report, by the commands of dvc.yaml, within this process."""

import importlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from lockstep import records
from lockstep.metrics.registry import METRICS
from lockstep.statistics import confidence_intervals
from lockstep.training.train_params import Objective
from tests.conftest import LABELS, REPOSITORY, architecture, tiny_params

pytestmark = pytest.mark.slow

Rows = list[dict[str, Any]]


def asked(number: int) -> str:
    return f"{'请问，' * (number % 2)}order {number}: {LABELS[number % 3]} it, {chr(97 + number)}?"


PAIRS = [
    {"prompt": asked(n), "chosen": f"sure, {LABELS[n % 3]} it", "rejected": f"no, {n}"}
    for n in range(24)
]
ROWS: dict[str, tuple[str, str, Rows]] = {
    "sft": (
        "alpaca", "text", [{"instruction": asked(n), "output": f"done, {n}"} for n in range(24)]
    ),
    "calls": (
        "messages", "calls",
        [
            {
                "messages": [
                    {"role": "user", "content": asked(n)},
                    {"role": "assistant", "content": "", "tool_calls": [
                        {"function": {"name": LABELS[n % 3], "arguments": {"order": n}}}]},
                ],
                "tools": [{"name": LABELS[n % 3]}],
            }
            for n in range(24)
        ],
    ),
    "kto": (
        "unpaired_preference", "text",
        [{"prompt": asked(n), "completion": f"done, {n}", "label": n % 3 > 0} for n in range(24)],
    ),
    "classification": (
        "classification", "label", [{"text": asked(n), "label": LABELS[n % 3]} for n in range(24)]
    ),
    "written labels": (
        "classification", "written_label",
        [{"text": asked(n), "label": LABELS[n % 3]} for n in range(24)],
    ),
    "encoder": (
        "classification", "label", [{"text": asked(n), "label": LABELS[n % 3]} for n in range(24)]
    ),
    "several labels": (
        "multi_label", "labels",
        [{"text": asked(n), "labels": LABELS[: n % 3 + 1]} for n in range(24)],
    ),
    "regression": ("regression", "number", [{"text": asked(n), "value": n / 4} for n in range(24)]),
}  # fmt: skip
"""Format, how its suite is answered, and the rows; the other objectives learn from pairs."""
LEARNT_AS = {
    "encoder": "classification",
    "several labels": "classification",
    "written labels": "sft",
    "calls": "sft",
}


@pytest.fixture
def clone(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a base, in which this process stands."""
    shutil.copytree(tiny, tmp_path / "data/base")
    (tmp_path / "data/raw").mkdir()
    (tmp_path / "data/human").mkdir()
    (tmp_path / "data/tasks").mkdir()
    (tmp_path / "data/synonyms.tsv").write_text("")
    shutil.copy(REPOSITORY / "data/rubric.yaml", tmp_path / "data")
    for number in ("RESAMPLES", "PERMUTATIONS"):
        monkeypatch.setattr(confidence_intervals, number, 50)  # intervals are tested elsewhere
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DVC_")]:
        monkeypatch.delenv(name)
    yield tmp_path


def commands() -> Iterator[tuple[str, list[str]]]:
    """The module and the arguments of each stage after base, in order."""
    stages = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        matrix = stage.get("matrix", {"variant": [""]})
        for variant in matrix["variant"]:
            *_, module, rest = stage["cmd"].split(maxsplit=4)
            if name != "base":
                yield module, rest.replace("${item.variant}", variant).split()


@pytest.mark.parametrize(
    "case", [*get_args(Objective), "encoder", "several labels", "written labels", "calls"]
)
def test_from_raw_rows_to_the_report(clone: Path, tiny: Path, case: str):
    objective = LEARNT_AS.get(case, case)
    if case == "encoder":
        shutil.rmtree(clone / "data/base")
        architecture("bert", clone / "data/base", tiny)
    form, answer, rows = ROWS.get(case, ("preference", "preference", PAIRS))
    raw = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (clone / "data/raw/rows.jsonl").write_text(raw, encoding="utf-8")
    changes = {
        "prepare.sources": [{"path": "rows.jsonl", "format": form, "task": "own", "slices": []}],
        "prepare.split.by": [],
        "prepare.split.method": "quota",
        "prepare.split.validation": 0.2,
        "prepare.split.test": 0.3,
        "prepare.duplicates.near": "group",
        "prepare.duplicates.threshold": 1.0,
        "augment.methods": [],
        "train.objective": objective,
        "train.options": {"num_generations": 2} if objective == "grpo" else {},
        "train.evaluation_tokens": 8,
        "evaluate.suites": [{"task": "own", "answer": answer, "metrics": list(METRICS[answer])}],
        "evaluate.slices": ["language", "source", "length"],
        "report.slices": [],
    }
    with (clone / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(tiny_params(changes), stream)
    for module, arguments in commands():
        stage: Any = importlib.import_module(module).main
        stage.main(arguments, standalone_mode=False)

    metrics = json.loads((clone / "reports/metrics.json").read_text())
    figures = {variant: set(metrics[variant]["own"]) for variant in ("merged", "quantized")}
    assert figures["merged"] == figures["quantized"] == set(metrics["base"]["own"])
    assert figures["merged"], "at least one figure"
    assert metrics["data"]["test"] == len(list(records.read(clone / "data/prepared/test.jsonl")))
    assert objective in (clone / "reports/model-card.md").read_text()
