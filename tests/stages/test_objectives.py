"""Each objective runs from raw rows to the report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from lockstep import records
from lockstep.metrics.registry import METRICS
from lockstep.predictions import VARIANTS
from lockstep.suites import FORMS_BY_OBJECTIVE
from lockstep.training.train_params import Objective
from tests.conftest import LABELS, write_params, write_random_model

pytestmark = pytest.mark.slow

Rows = list[dict[str, Any]]


def make_question(number: int) -> str:
    """Return a question about an order, every second one partly in Chinese."""
    return f"{'请问，' * (number % 2)}order {number}: {LABELS[number % 3]} it, {chr(97 + number)}?"


LABELLED_ROWS = [{"text": make_question(n), "label": LABELS[n % 3]} for n in range(24)]
PAIRS = [
    {"prompt": make_question(n), "chosen": f"sure, {LABELS[n % 3]} it", "rejected": f"no, {n}"}
    for n in range(24)
]
CALLS = [
    {
        "messages": [
            {"role": "user", "content": make_question(n)},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": LABELS[n % 3], "arguments": {"order": n}}}],
            },
        ],
        "tools": [{"name": LABELS[n % 3]}],
    }
    for n in range(24)
]
CASES: dict[str, tuple[str, str, Rows]] = {
    "sft": (
        "alpaca", "text",
        [{"instruction": make_question(n), "output": f"done, {n}"} for n in range(24)],
    ),
    "calls": ("messages", "calls", CALLS),
    "kto": (
        "unpaired_preference", "text",
        [
            {"prompt": make_question(n), "completion": f"done, {n}", "label": n % 3 > 0}
            for n in range(24)
        ],
    ),
    "classification": ("classification", "label", LABELLED_ROWS),
    "written labels": ("classification", "written_label", LABELLED_ROWS),
    "encoder": ("classification", "label", LABELLED_ROWS),
    "several labels": (
        "multi_label", "labels",
        [{"text": make_question(n), "labels": LABELS[: n % 3 + 1]} for n in range(24)],
    ),
    "regression": (
        "regression", "number", [{"text": make_question(n), "value": n / 4} for n in range(24)]
    ),
}  # fmt: skip
"""Data format, answer form of the suite and rows, by case; other objectives train on PAIRS."""
OBJECTIVES = {
    "encoder": "classification",
    "several labels": "classification",
    "written labels": "sft",
    "calls": "sft",
}
"""Objective of the cases that are not named after it."""


@pytest.mark.parametrize(
    "case", [*get_args(Objective), "encoder", "several labels", "written labels", "calls"]
)
def test_each_objective_runs_from_raw_rows_to_the_report(
    pipeline_workspace: Path, run_pipeline: Callable[[], None], tiny_model: Path, case: str
):
    objective = OBJECTIVES.get(case, case)
    if case == "encoder":
        shutil.rmtree(pipeline_workspace / "data/base")
        write_random_model("bert", pipeline_workspace / "data/base", tiny_model)
    data_format, answer, rows = CASES.get(case, ("preference", "preference", PAIRS))
    raw = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (pipeline_workspace / "data/raw/rows.jsonl").write_text(raw, encoding="utf-8")
    changes = {
        "prepare.sources": [{"path": "rows.jsonl", "format": data_format, "task": "own"}],
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
        "predict.suites": [{"task": "own", "answer": answer}],
        "evaluate.metrics": {"own": list(METRICS[answer])},
        "evaluate.slices": ["language", "source", "length"],
    }
    if objective in FORMS_BY_OBJECTIVE:  # a model with a head generates no text
        changes["predict.retrieval"] = {"lengths": [150]}
    write_params(pipeline_workspace, changes)
    run_pipeline()

    details = json.loads((pipeline_workspace / "reports/details.json").read_text())
    assert list(details["suites"]) == ["own"]
    assert details["suites"]["own"]["form"] == answer
    for variant in VARIANTS:
        names = {*details[variant]["own"]["overall"]} - {"lm_eval_accuracy"}
        assert set() < names <= {*METRICS[answer]}
        assert set(details[variant]["own"]["slices"]) >= {"source", "length"}
    metrics = json.loads((pipeline_workspace / "reports/metrics.json").read_text())
    names = {variant: set(metrics[variant]["own"]) for variant in ("merged", "quantized")}
    assert names["merged"] == names["quantized"] == set(metrics["base"]["own"])
    assert names["merged"], "a suite needs at least one metric"
    assert metrics["data"]["test"] == len(
        list(records.read(pipeline_workspace / "data/prepared/test.jsonl"))
    )
    assert objective in (pipeline_workspace / "reports/model-card.md").read_text()
