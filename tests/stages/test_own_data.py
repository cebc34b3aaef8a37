"""With prepare.sources replaced and nothing else, the pipeline runs to the report."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_params

NAMES = ("parcel", "refund", "invoice", "address", "voucher", "colour")
SYLLABLES = ("ka", "lo", "mi", "ru", "se", "ta", "vo", "ne", "pi", "du")
COUNT = 90


def make_words(n: int) -> str:
    """Return words that differ from row to row, so that no row is a near-duplicate of another."""
    rng = random.Random(n)
    return " ".join("".join(rng.choices(SYLLABLES, k=3)) for _ in range(6))


def make_question(n: int) -> str:
    return f"{make_words(n)} {NAMES[n % 6]}?"


def make_answer(n: int) -> str:
    return f"{NAMES[n % 6]} {make_words(1000 + n)}."


def make_annotation(n: int) -> dict[str, Any]:
    value = {"choices": [NAMES[n % 2]]}
    result = {"type": "choices", "from_name": "intent", "to_name": "text", "value": value}
    return {"id": n, "data": {"text": make_question(n)}, "annotations": [{"result": [result]}]}


ROWS: dict[str, list[dict[str, Any]]] = {
    "alpaca": [{"instruction": make_question(n), "output": make_answer(n)} for n in range(COUNT)],
    "messages": [
        {"messages": [{"role": "user", "content": make_question(n)},
                      {"role": "assistant", "content": make_answer(n)}]}
        for n in range(COUNT)
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": make_question(n)},
                           {"from": "gpt", "value": make_answer(n)}]}
        for n in range(COUNT)
    ],
    "prompt_completion": [
        {"prompt": make_question(n), "completion": json.dumps({"thing": NAMES[n % 6], "n": n})}
        for n in range(COUNT)
    ],
    "preference": [
        {"prompt": make_question(n), "chosen": make_answer(n), "rejected": f"No {n}."}
        for n in range(COUNT)
    ],
    "unpaired_preference": [
        {"prompt": make_question(n), "completion": make_answer(n), "label": n % 3 > 0}
        for n in range(COUNT)
    ],
    "classification": [{"text": make_question(n), "label": NAMES[n % 3]} for n in range(COUNT)],
    "multi_label": [
        {"text": make_question(n), "labels": [*NAMES[: n % 3 + 1]]} for n in range(COUNT)
    ],
    "regression": [{"text": make_question(n), "value": n / 4} for n in range(COUNT)],
    "text": [{"text": f"{make_question(n)} {make_answer(n)}"} for n in range(COUNT)],
    "label_studio": [make_annotation(n) for n in range(COUNT)],
}  # fmt: skip
"""Rows by data format."""

EXPECTED = {
    "alpaca": "rouge_l",
    "messages": "rouge_l",
    "sharegpt": "rouge_l",
    "prompt_completion": "exact_match",
    "preference": "accuracy",
    "unpaired_preference": "rouge_l",
    "classification": "accuracy",
    "multi_label": "exact_match",
    "regression": "valid",
    "text": None,
    "label_studio": "accuracy",
}
"""Metric that the suite of a data format must have; None if only perplexity is measured."""


@pytest.mark.slow
@pytest.mark.parametrize("format", ROWS)
def test_a_file_of_each_format_runs_to_the_report(
    pipeline_workspace: Path, run_pipeline: Callable[[], None], format: str
):
    lines = [json.dumps(row) + "\n" for row in ROWS[format]]
    if format == "label_studio":
        (pipeline_workspace / "data/raw/own.json").write_text(json.dumps(ROWS[format]))
    else:
        (pipeline_workspace / "data/raw/own.jsonl").write_text("".join(lines))
    suffix = "json" if format == "label_studio" else "jsonl"
    size = {"train.epochs": 0.5, "predict.lm_eval": {"records": 0}, "predict.split_records": 1}
    source = {"path": f"own.{suffix}", "format": format}
    write_params(pipeline_workspace, {"prepare.sources": [source], **size})

    run_pipeline()

    details = json.loads((pipeline_workspace / "reports/details.json").read_text())
    metric = EXPECTED[format]
    for variant in ("base", "merged", "quantized"):
        assert "perplexity" in details[variant]
        assert ("own" in details[variant]) == (metric is not None)
        if metric is not None:
            assert metric in details[variant]["own"]["overall"]
    assert json.loads((pipeline_workspace / "reports/metrics.json").read_text())["data"]["test"] > 0
    assert "<h1>" in (pipeline_workspace / "reports/index.html").read_text()
