"""The stage train writes the same bytes in every run, and nothing if training diverges."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TOKENIZER = ["model/chat_template.jinja", "model/tokenizer.json", "model/tokenizer_config.json"]
RESULTS = ["log.csv", "summary.json"]
ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")


def test_an_adapter_trained_twice_is_byte_identical(
    workspace: Path,
    run_stage: Callable[..., Any],
    run_stage_in_process: Callable[..., str],
    read_folder: Callable[[Path], dict[str, bytes]],
):
    """The first run has its own process, the second one runs within this process."""
    run = run_stage(*ARGUMENTS, "one")
    assert run.returncode == 0, run.stderr
    for stderr in (run.stderr, run_stage_in_process(*ARGUMENTS, "elsewhere/other")):
        lines = [line for line in stderr.splitlines() if line.startswith("train: ")]
        rows, memory, disk, *steps, last = lines
        assert re.match(r"train: 12 rows, [\d,]+ tokens an epoch, \d+% .* padding, 6 steps", rows)
        assert re.match(r"train: about 0\.0\d of [\d.]+ GB memory of the device: weights", memory)
        assert re.match(r"train: checkpoints of 0\.00 GB", disk)
        assert all(re.match(r"train: step \d/6, (validation )?loss \d", line) for line in steps)
        assert last.startswith("train: 6 steps on 12 rows, validation loss ")
    one = read_folder(workspace / "one")
    assert sorted(one) == sorted(
        [*RESULTS, "model/adapter_config.json", "model/adapter_model.safetensors", *TOKENIZER]
    )
    assert one == read_folder(workspace / "elsewhere/other")
    assert str(workspace).encode() not in b"".join(one.values())

    summary = json.loads(one["summary.json"])
    assert (summary["strategy"], summary["rows"], summary["steps"]) == ("lora", 12, 6)
    assert (summary["rows_dropped"], summary["rows_truncated"]) == (0, 0)
    assert 0 < summary["answer_tokens"] < summary["tokens"]
    assert summary["trained_parameters"] < summary["parameters"]
    log = list(csv.DictReader(one["log.csv"].decode().splitlines()))
    assert [row["step"] for row in log] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["validation_loss"]) for row in log] == [False, True] * 3


def test_training_that_diverges_is_refused_and_leaves_nothing(
    workspace: Path, run_stage: Callable[..., Any], assert_user_error: Callable[..., None]
):
    run = run_stage(*ARGUMENTS, "trained", changes={"train.learning_rate": 1e9})
    assert_user_error(run, workspace / "trained", "training diverged", "lower train.learning_rate")


def test_weights_of_absent_tasks_are_named(workspace: Path, run_stage: Callable[..., Any]):
    weights = {"intent": 2.0, "replies": 2.0, "intend": 3.0}
    changes = {"train.sft.task_weights": weights, "train.epochs": 0.5}
    run = run_stage(*ARGUMENTS, "trained", changes=changes)
    assert run.returncode == 0, run.stderr
    line = "train: sft.task_weights: no training row has the task intend, replies"
    assert run.stderr.splitlines()[0] == line


def test_an_optimizer_of_bitsandbytes_is_found(workspace: Path, run_stage: Callable[..., Any]):
    """The stage leaves out bitsandbytes where neither strategy nor optimizer needs it."""
    changes = {"train.optimizer": "paged_adamw_8bit", "train.epochs": 0.5}
    run = run_stage(*ARGUMENTS, "trained", changes=changes)
    assert run.returncode == 0, run.stderr
