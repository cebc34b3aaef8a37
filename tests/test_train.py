import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TOKENIZER = ["model/chat_template.jinja", "model/tokenizer.json", "model/tokenizer_config.json"]
WHOLE = ["model/config.json", "model/generation_config.json", "model/model.safetensors"]
RESULTS = ["log.csv", "summary.json"]
ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")


def test_an_adapter_trained_twice_is_byte_identical(
    workplace: Path, stage: Callable[..., Any], contents: Callable[[Path], dict[str, bytes]]
):
    for out in ("one", "elsewhere/other"):
        run = stage(*ARGUMENTS, out)
        assert run.returncode == 0, run.stderr
        rows, memory, *steps, last = run.stderr.splitlines()
        assert re.match(r"train: 12 rows, [\d,]+ tokens an epoch, \d+% .* padding, 6 steps", rows)
        assert re.match(r"train: about 0\.0\d of [\d.]+ GB memory: weights", memory)
        assert all(re.match(r"train: step \d/6, (validation )?loss \d", line) for line in steps)
        assert last.startswith("train: 6 steps on 12 rows, validation loss ")
    one = contents(workplace / "one")
    assert sorted(one) == sorted(
        [*RESULTS, "model/adapter_config.json", "model/adapter_model.safetensors", *TOKENIZER]
    )
    assert one == contents(workplace / "elsewhere/other")
    assert str(workplace).encode() not in b"".join(one.values())

    summary = json.loads(one["summary.json"])
    assert (summary["strategy"], summary["rows"], summary["steps"]) == ("lora", 12, 6)
    assert (summary["rows_dropped"], summary["rows_truncated"]) == (0, 0)
    assert 0 < summary["answer_tokens"] < summary["tokens"]
    assert summary["trained_parameters"] < summary["parameters"]
    log = list(csv.DictReader(one["log.csv"].decode().splitlines()))
    assert [row["step"] for row in log] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["validation_loss"]) for row in log] == [False, True] * 3


def test_full_tuning_writes_a_whole_model(
    workplace: Path, stage: Callable[..., Any], contents: Callable[[Path], dict[str, bytes]]
):
    run = stage(*ARGUMENTS, "trained", changes={"train.strategy": "full"})
    assert run.returncode == 0, run.stderr
    files = contents(workplace / "trained")
    assert sorted(files) == sorted([*RESULTS, *WHOLE, *TOKENIZER])
    summary = json.loads(files["summary.json"])
    assert summary["trained_parameters"] == summary["parameters"]


@pytest.mark.parametrize("strategy", ["lora", "full"])
def test_training_that_diverges_is_refused_and_leaves_nothing(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None], strategy: str
):
    changes = {"train.learning_rate": 1e9, "train.strategy": strategy}
    run = stage(*ARGUMENTS, "trained", changes=changes)
    refused(run, workplace / "trained", "training diverged", "lower train.learning_rate")


def test_a_target_that_no_layer_has_is_refused(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    """PEFT is content where one of several names is known."""
    run = stage(
        *ARGUMENTS, "trained", changes={"strategies.lora.target_modules": ["q_proj", "v_prj"]}
    )
    refused(
        run,
        workplace / "trained",
        "strategies.lora.target_modules: the base has no layer v_prj; did you mean v_proj?",
    )


def test_bf16_is_computed_and_said_to_be_slow_where_the_cpu_lacks_it(
    workplace: Path, stage: Callable[..., Any]
):
    import torch

    fine = stage(*ARGUMENTS, "fine")
    coarse = stage(*ARGUMENTS, "coarse", changes={"train.precision": "bf16"})
    assert coarse.returncode == 0, coarse.stderr
    assert "bf16" not in fine.stderr
    able = torch.cpu.get_capabilities()
    lacking = able["architecture"] == "x86_64" and not able["avx512_bf16"]
    assert ("train.precision: bf16 is slow on this CPU" in coarse.stderr) == lacking
    logs = [(workplace / out / "log.csv").read_bytes() for out in ("fine", "coarse")]
    assert logs[0] != logs[1]
