"""Outputs of the stages before evaluate, written by hand, so that its tests need no model."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lockstep import predictions
from lockstep.predictions import VARIANTS, Prediction
from tests.conftest import REPOSITORY, change_params

SCRIPT = "<script>alert(1)</script>"
FORMS = {"intent": "choice", "slots": "json", "reply": "text"}
RECORDS = [
    ("intent", "where is it?", "track", {"phrasing": "seen", "source": "a.csv"}),
    ("intent", f"cancel {SCRIPT}", "cancel", {"phrasing": "unseen"}),
    ("intent", "取消订单", "cancel", {"phrasing": "seen"}),
    ("intent", "stop it", SCRIPT, {"phrasing": "unseen"}),
    ("slots", "to Porto", '{"city":"Porto"}', {}),
    ("reply", "hello", "Hello, how can I help?", {}),
]
"""Task, question, reference and slices of each test record."""
ANSWERS = {
    "base": ["cancel", "track", "track", SCRIPT, "{", "the the\ufffd"],  # part of a character
    "merged": ["track", "cancel", "cancel", "track", '{"city": "Porto"}', "Hello, can I help?"],
    "quantized": ["track", "cancel", "track", "track", SCRIPT, "Hello, can I help?"],
}
"""Answers of each variant to these records."""
PERPLEXITIES = {"base": 8.0, "merged": 2.0, "quantized": 2.5}
SPLITS = {
    "base": [("train", "yes"), ("train", "no"), ("validation", "yes"), ("validation", "no")] * 5,
    "merged": [("train", "yes")] * 10 + [("validation", "yes")] * 4 + [("validation", "no")] * 6,
    "quantized": [],
}
"""Splits and answers of further records, whose reference is `yes`."""
PERTURBED = {
    "base": ["cancel", "track"],
    "merged": ["track", "track"],
    "quantized": ["track", "cancel"],
}
"""Answers of each variant to the first two records, with a changed case."""
GATE = {"suite": "intent", "metric": "accuracy", "direction": "at_least", "certainty": "measured"}
GATES = [
    {**GATE, "variant": "merged", "against": "nothing", "threshold": 0.7},
    {**GATE, "variant": "quantized", "against": "merged", "threshold": -0.2},
    {**GATE, "variant": "merged", "against": "previous", "threshold": 0.0},
]
CHANGES: dict[str, Any] = {
    "evaluate.metrics": {
        "intent": ["accuracy", "macro_f1"],
        "slots": ["exact_match", "valid"],
        "reply": ["rouge_l", "bleu", "exact_match"],
    },
    "evaluate.slices": ["phrasing"],
    "evaluate.summary_slices": ["phrasing"],
    "evaluate.domains": {},
    "evaluate.gates": GATES,
    "evaluate.examples": 4,
    "judge.dimensions": ["fluency"],
    "human.suites": ["reply"],
    "report.title": f"Model {SCRIPT}",
}


def make_prediction(number: int, task: str, prediction: str, **changes: Any) -> Prediction:
    values = {
        "id": f"{number:016x}", "task": task, "slices": {}, "question": "?", "reference": "yes",
        "prompt": f"{number:016x}", "answer_form": FORMS.get(task, ""), "prediction": prediction,
    }  # fmt: skip
    return Prediction(**{**values, **changes})


def make_predictions(variant: str) -> list[Prediction]:
    """Return the predictions of a variant on the test records."""
    loss = 2 * math.log(PERPLEXITIES[variant])
    return [
        make_prediction(
            number, task, prediction,
            question=question, reference=reference, slices=slices, loss=loss, tokens=2,
        )
        for number, ((task, question, reference, slices), prediction) in enumerate(
            zip(RECORDS, ANSWERS[variant], strict=True)
        )
    ]  # fmt: skip


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_outputs(root: Path, changes: dict[str, Any]) -> None:
    """Write params.yaml with changes by dotted path, and the summaries of all stages."""
    values = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text("utf-8"))
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(change_params(values, changes), stream)

    def make_split(records: int, **more: int) -> dict[str, Any]:
        return {"records": records, "tasks": {"intent": records - 2, "reply": 1, "slots": 1} | more}

    prepared = {
        "rows": {"read": 30, "kept": 26, "rejected": 1, "duplicates": 3, "removed": 0},
        "rejected": {"unknown_label": 1},
        "removed": {"duplicate": 3},
        "sources": {f"{SCRIPT}.csv": {"records": 26, "rejected": 1, "left_out": {}}},
        "licences": {f"{SCRIPT}.csv": "CC0"},
        "cleaned": {"space": 2},
        "labels": {"intent": {"cancel": 8, "track": 6, SCRIPT: 1}},
        "unlearnt_labels": {"intent": {SCRIPT: 1}},
        "warnings": [f"The test split differs from training in the labels of intent: {SCRIPT}."],
        "splits": {
            "train": make_split(16),
            "validation": make_split(4),
            "test": make_split(6, refusal=77),
        },
    }
    write_json(root / "data/prepared/card.json", prepared)
    for split in ("train", "test"):
        (root / f"data/prepared/{split}.jsonl").write_text("")
    augmented = {"parents": 16, "children": 5, "methods": {"deletion": {"kept": 5}}}
    write_json(root / "data/augmented/card.json", {**augmented, "train": make_split(21)})
    trained = {
        "objective": "sft",
        "strategy": "lora",
        "rows": 21,
        "rows_truncated": 0,
        "rows_dropped": 0,
        "rows_equal": 0,
        "tokens": 900,
        "answer_tokens": 200,
        "steps": 4,
        "trained_parameters": 100,
        "parameters": 3000,
        "loss": 0.5,
        "validation_loss": 0.75,
    }
    write_json(root / "data/trained/summary.json", trained)
    log = "step,epoch,loss,validation_loss,learning_rate,grad_norm\n2,1.0,1.5,,0.001,1.0\n"
    (root / "data/trained/log.csv").write_text(log + "4,2.0,0.5,0.75,0.0,1.0\n", encoding="utf-8")
    merge = {"prompts": 2, "largest_difference": 1.5e-05, "largest_cast_difference": 0.02}
    write_json(root / "data/merged/merge.json", merge)
    quantize = {
        "method": "nf4",
        "quantized_layers": 7,
        "bytes_before": 3_000_000,
        "bytes_after": 1_000_000,
        "bits_per_weight": 10.67,
        "perplexity_before": 1.5,
        "perplexity_after": 1.6,
    }
    write_json(root / "data/quantized/quantize.json", quantize)
    (root / "data/judged").mkdir()
    (root / "data/judged/judgements.jsonl").write_text("")
    (root / "data/human").mkdir()


def write_variants(root: Path, by_variant: Mapping[str, Sequence[Prediction]]) -> None:
    """Write the output of predict for each variant, with predictions on test records only."""
    for variant, rows in by_variant.items():
        folder = root / "data/predicted" / variant
        write_json(folder / "lm_eval.json", {"suites": {}, "tasks": {}})
        predictions.write(folder / "predictions.jsonl", rows)
        for name in ("perturbed", "splits"):
            (folder / f"{name}.jsonl").write_text("")


def write_inputs(root: Path, changes: dict[str, Any] = CHANGES) -> None:
    """Write everything that evaluate and report read, as small as possible."""
    write_outputs(root, changes)
    by_variant = {variant: make_predictions(variant) for variant in VARIANTS}
    write_variants(root, by_variant)
    for variant, rows in by_variant.items():
        folder = root / "data/predicted" / variant
        accuracy = sum(row.prediction == row.reference for row in rows[:4]) / 4
        tasks = {"own": {"acc": accuracy, "acc_stderr": 0.1}}
        write_json(folder / "lm_eval.json", {"suites": {"intent": accuracy}, "tasks": tasks})
        perturbed = [
            replace(
                row, id=f"case{row.id}", prediction=answer,
                slices={**row.slices, "parent": row.id, "perturbation": "case"},
            )
            for row, answer in zip(rows, PERTURBED[variant], strict=False)
        ]  # fmt: skip
        predictions.write(folder / "perturbed.jsonl", perturbed)
        splits = [
            make_prediction(number, "intent", answer, slices={"split": split}, loss=0.5, tokens=3)
            for number, (split, answer) in enumerate(SPLITS[variant])
        ]
        predictions.write(folder / "splits.jsonl", splits)


def run_module(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a folder with a clean environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def run_evaluate(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the stage evaluate as dvc.yaml does, but not under DVC."""
    return run_module(root, "stages.evaluate", "data", "reports")


def run_report(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the stage report as dvc.yaml does, but not under DVC."""
    return run_module(root, "stages.report", "data", "reports/details.json", "reports")


def list_files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
