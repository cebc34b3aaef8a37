"""`stages.quantize` writes GGUF folders that are checked, complete, or not there at all."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from safetensors.torch import load_file, save_file

import stages.quantize
from lockstep import outputs
from lockstep.errors import UserError
from lockstep.inference import quantization_loss
from lockstep.models.gguf_folder import is_gguf_folder
from tests.conftest import REPOSITORY, write_params
from tests.killed_commands import run_until

pytestmark = pytest.mark.slow

ARGUMENTS = ("quantize", "base", "prepared/validation.jsonl", "quantized")
Q8 = {"quantize.method": "gguf_q8_0", "quantize.rows": 4}


@pytest.fixture
def starter(workspace: Path) -> Path:
    """The workspace with the starter as the model to quantize."""
    shutil.rmtree(workspace / "base")
    shutil.copytree(REPOSITORY / "data/starter/model", workspace / "base")
    return workspace


def test_a_gguf_folder_has_the_files_of_the_model_and_one_file_of_weights(
    starter: Path, run_stage_in_process: Callable[..., str]
) -> None:
    message = run_stage_in_process(*ARGUMENTS, changes=Q8)
    assert message.startswith("quantize: gguf_q8_0, 99.9% of the parameters in fewer than 16 bits")
    assert message.count("\n") == 1
    out = starter / "quantized"
    assert sorted(path.name for path in out.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.gguf",
        "quantize.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert is_gguf_folder(out)
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (starter / "base" / name).read_bytes()
    summary = json.loads((out / "quantize.json").read_text())
    size = (out / "model.gguf").stat().st_size
    assert summary["bytes_after"] == size < summary["bytes_before"]
    assert summary["bits_per_weight"] == round(8 * size / 3_362_240, 2)
    assert (summary["token_agreement"], summary["prompt_agreement"]) == (1.0, 1.0)
    assert summary["runtime"] == "llama.cpp"
    assert summary["perplexity_after"] == pytest.approx(summary["perplexity_before"], rel=0.01)
    assert summary["perplexity_after"] != summary["perplexity_before"]


def test_weights_that_are_not_finite_are_one_line(
    starter: Path, run_stage_in_process: Callable[..., str]
) -> None:
    weights = starter / "base/model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(UserError, match=r"model\.norm\.weight holds NaN; fetch"):
        run_stage_in_process(*ARGUMENTS, changes=Q8)
    assert not list(starter.glob("*quantized*"))


def test_a_runtime_that_computes_another_model_is_refused() -> None:
    """Methods that lose almost nothing must not change the perplexity."""
    loss = {"perplexity_before": 2.0, "perplexity_after": 2.2}
    for method in ("gguf_f16", "gguf_q8_0"):
        with pytest.raises(UserError, match=r"is 2\.2 in llama\.cpp and 2\.0 in transformers, so"):
            quantization_loss.check_runtime(loss, method)
    quantization_loss.check_runtime(loss, "gguf_q4_0")
    quantization_loss.check_runtime(loss | {"perplexity_after": 2.01}, "gguf_f16")


@pytest.mark.parametrize(
    "moment",
    [
        (gguf.GGUFWriter, "write_tensors_to_file"),
        (stages.quantize, "measure_quantization_loss"),
        (outputs, "flush"),
    ],
    ids=["writing", "measuring", "flushing"],
)
def test_a_kill_leaves_no_output_and_the_next_run_completes_it(
    moment: tuple[Any, str],
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workspace)
    changes = Q8 | {"compute.threads": 1}  # threads of torch do not survive a fork
    write_params(workspace, changes)
    assert run_until(moment, stages.quantize.main, ARGUMENTS[1:]) == -signal.SIGKILL
    assert (workspace / ".quantized.partial").exists()
    assert not (workspace / "quantized").exists()
    run_stage_in_process(*ARGUMENTS, changes=changes)
    assert not (workspace / ".quantized.partial").exists()
    assert (workspace / "quantized/quantize.json").exists()


def test_a_termination_leaves_nothing_behind(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_params(workspace, Q8 | {"compute.threads": 1})
    monkeypatch.chdir(workspace)
    moment = (stages.quantize, "measure_quantization_loss")
    code = run_until(moment, stages.quantize.main, ARGUMENTS[1:], signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert capfd.readouterr().err.endswith("stopped by SIGTERM; no partial output was left\n")
    assert not list(workspace.glob("*quantized*"))
