"""`python -m lockstep.starter` writes a model folder and a log, or one line that says why not."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep.models import loading
from lockstep.starter import pretraining
from tests.conftest import REPOSITORY, change_params, write_params

MODEL_FILES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture(scope="module")
def run_starter(
    documents: list[str], starter_params: pretraining.StarterParams
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a folder, with changed params; the outputs are `model` and `log.csv`."""

    def run(folder: Path, changes: dict[str, Any] | None = None) -> Any:
        folder.mkdir(exist_ok=True)
        write_params(folder, {})
        lines = [json.dumps({"turns": [text]}) + "\n" for text in documents]
        (folder / "text.jsonl").write_text("".join(lines))
        values = {
            "seed": 7,
            "compute": {"threads": 1, "attention": "eager"},
            "starter": starter_params.model_dump(),
        }
        with (folder / "starter.yaml").open("w") as stream:
            YAML(typ="safe", pure=True).dump(change_params(values, changes or {}), stream)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
        command = [sys.executable, "-m", "lockstep.starter"]
        return subprocess.run(
            [*command, "starter.yaml", "text.jsonl", "model", "log.csv"],
            cwd=folder, env={**environment, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    run_starter: Callable[..., subprocess.CompletedProcess[str]],
) -> Path:
    """Folder in which the command has run."""
    folder = tmp_path_factory.mktemp("starter") / "one"
    result = run_starter(folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    last_line = result.stderr.splitlines()[-1]  # after lines of progress, if it took long
    assert re.fullmatch(r"starter: [\d,]+ parameters, validation loss \d\.\d{3}", last_line)
    return folder


@pytest.mark.slow
def test_the_outputs_are_a_model_folder_and_a_log(trained: Path):
    inputs = {"params.yaml", "starter.yaml", "text.jsonl"}
    assert {path.name for path in trained.iterdir()} - inputs == {"model", "log.csv"}
    assert sorted(path.name for path in (trained / "model").iterdir()) == MODEL_FILES


@pytest.mark.slow
def test_weights_are_stored_in_bf16_and_load_in_float32(trained: Path):
    import torch
    from safetensors import safe_open

    with safe_open(trained / "model/model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert "model.embed_tokens.weight" in tensors
    assert "lm_head.weight" not in tensors, "the embedding is tied: stored once"
    config = json.loads((trained / "model/config.json").read_text())
    assert config["dtype"] == "float32" and config["tie_word_embeddings"] is True
    model = loading.load_model(trained / "model", "auto", "eager", "cpu")
    assert model.dtype == torch.float32
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    loading.load_tokenizer(trained / "model")


@pytest.mark.slow
def test_the_log_holds_the_losses_of_each_evaluation(trained: Path):
    with (trained / "log.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["step", "loss", "validation_loss", "answer_loss"]
    assert [int(step) for step, *_ in rows] == [2, 4, 5]
    assert all(0 < float(loss) < 10 for row in rows for loss in row[1:3])
    assert [row[3] for row in rows] == ["0"] * 3, "every document has one turn"
    assert b"\r" not in (trained / "log.csv").read_bytes()


@pytest.mark.slow
def test_two_runs_give_identical_bytes(
    trained: Path,
    run_starter: Callable[..., subprocess.CompletedProcess[str]],
    read_folder: Callable[[Path], dict[str, bytes]],
):
    other = trained.with_name("a longer name")
    assert run_starter(other).returncode == 0
    assert read_folder(trained / "model") == read_folder(other / "model")
    assert (trained / "log.csv").read_bytes() == (other / "log.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"starter.layer": 3}, "starter.yaml: starter.layer: unknown key; did you mean layers?"),
        ({"starter.steps": 0}, "starter.yaml: starter.steps: input should be greater than 0"),
        ({"starter.heads": 3}, "starter.yaml: starter: hidden_size 64 must be an even multiple"),
    ],
    ids=["unknown key", "range", "heads"],
)
def test_a_mistake_is_one_line_and_leaves_no_output(
    tmp_path: Path,
    run_starter: Callable[..., subprocess.CompletedProcess[str]],
    assert_user_error: Callable[..., None],
    changes: dict[str, Any],
    line: str,
):
    assert_user_error(run_starter(tmp_path / "run", changes), tmp_path / "run/model", line)
    assert not (tmp_path / "run/log.csv").exists()
