"""Encoder-decoders are tuned for translation, from raw rows to the report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import seq2seq
from lockstep.predictions import VARIANTS
from tests.conftest import write_params
from tests.seq2seq_models import PREFIX, SENTENCES, translate

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "strategy"), [("t5", "lora"), ("marian", "full")])
def test_a_translation_runs_from_raw_rows_to_the_report(
    name: str,
    strategy: str,
    pipeline_workspace: Path,
    run_pipeline: Callable[[], None],
    seq2seq_bases: dict[str, Path],
):
    base = pipeline_workspace / "data/base"
    shutil.rmtree(base)
    shutil.copytree(seq2seq_bases[name], base)
    rows = [{"prompt": sentence, "completion": translate(sentence)} for sentence in SENTENCES]
    raw = "".join(json.dumps(row) + "\n" for row in rows)
    (pipeline_workspace / "data/raw/rows.jsonl").write_text(raw)
    source = {
        "path": "rows.jsonl", "format": "prompt_completion", "task": "translation",
        "system": PREFIX,
    }  # fmt: skip
    changes: dict[str, Any] = {
        "prepare.sources": [source],
        "prepare.split.by": [],
        "prepare.split.method": "quota",
        "prepare.split.validation": 0.2,
        "prepare.split.test": 0.3,
        "prepare.duplicates.near": "group",
        "prepare.duplicates.threshold": 1.0,
        "augment.methods": [],
        "train.strategy": strategy,
        "train.learning_rate": 1e-2,
        "train.epochs": 12.0,
        "predict.retrieval": {
            "lengths": [150] if name == "t5" else [],
            "languages": ["en"],
        },
        "train.evaluation_steps": 0,
        "evaluate.metrics": {"translation": ["chrf"]},
    }
    write_params(pipeline_workspace, changes)
    run_pipeline()

    for stage in ("merged", "quantized"):
        assert seq2seq.is_seq2seq(pipeline_workspace / "data" / stage)
    difference = json.loads((pipeline_workspace / "data/merged/merge.json").read_text())
    assert difference["largest_difference"] < 1e-3
    summary = json.loads((pipeline_workspace / "data/quantized/quantize.json").read_text())
    assert summary["quantized_layers"] == {"t5": 28, "marian": 32}[name]
    assert summary["bytes_after"] < summary["bytes_before"]
    metrics = json.loads((pipeline_workspace / "reports/metrics.json").read_text())
    for variant in VARIANTS:
        assert set(metrics[variant]["translation"]) == {"chrf"}
    base_metrics, merged_metrics = metrics["base"], metrics["merged"]
    perplexities = [values["perplexity"]["overall"] for values in (base_metrics, merged_metrics)]
    assert perplexities[1] < perplexities[0] / 2
    assert merged_metrics["translation"]["chrf"] > base_metrics["translation"]["chrf"]
