"""fp16 scales the loss. The CPU stands in for the GPU: torch has the same autocast and scaler."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from lockstep.records import Record
from lockstep.training import interruption, trainer_arguments, trainers
from lockstep.training.checkpoints import Checkpoints
from lockstep.training.training_plan import Params, plan_training
from lockstep.training.training_run import load_model

pytestmark = pytest.mark.slow

SCALE = 2.0**30
"""Initial scale of the loss, so large that the gradients of the first steps overflow."""


class _Watch(TrainerCallback):
    """Note the scale and the trained weights after each step, and end the run at a step."""

    def __init__(self, trainer: Any, last_step: int) -> None:
        self.trainer, self.last_step = trainer, last_step
        self.scales: list[float] = []
        self.weights: list[dict[str, Any]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.scales.append(self.trainer.accelerator.scaler.get_scale())
        self.weights.append(read_weights(self.trainer))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.last_step:
            raise KeyboardInterrupt


def read_weights(trainer: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in trainer._iterate_trained_tensors()}


@pytest.fixture
def train_fp16(
    tiny_model: Path, make_params: Callable[..., Params], corpus: list[Record], tmp_path: Path
) -> Callable[..., tuple[Any, _Watch]]:
    """Train with the scaler that accelerate creates on a GPU; on a CPU it leaves it out."""

    def train(folder: str, last_step: int = -1) -> tuple[Any, _Watch]:
        params = make_params(
            precision="fp16", epochs=8.0, evaluation_steps=0, learning_rate=1e-2,
            schedule="constant", warmup=0.0,
        )  # fmt: skip
        config = trainer_arguments.build_trainer_config(params.train, 7, "cuda", tmp_path / "work")
        plan = plan_training(tiny_model, corpus, corpus, {}, params, config)
        trainer: Any = trainers.build_trainer(load_model(tiny_model, params, None, "cpu"), plan)
        trainer.accelerator.native_amp = True
        trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
        (tmp_path / folder).mkdir(exist_ok=True)
        checkpoints = Checkpoints(tmp_path / folder, 1, 2)
        trainer.prepare_to_resume(checkpoints, interruption.Interruption(), plan)
        watch = _Watch(trainer, last_step)
        trainer.add_callback(watch)
        if last_step < 0:
            trainer.train_to_end()
        else:
            with pytest.raises(KeyboardInterrupt):
                trainer.train_to_end()
        return trainer, watch

    return train


def test_a_step_that_overflows_is_skipped_and_halves_the_scale(
    train_fp16: Callable[..., tuple[Any, _Watch]],
):
    """The gradient's norm of a skipped step is not finite; that is no divergence."""
    trainer, watch = train_fp16("run")
    logged = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    skipped = sum(not math.isfinite(entry["grad_norm"]) for entry in logged)
    assert 3 <= skipped < len(logged) - 3
    assert watch.scales[:skipped] == [SCALE / 2**step for step in range(1, skipped + 1)]
    assert set(watch.scales[skipped:]) == {watch.scales[skipped - 1]}
    start = load_start_weights(watch)
    assert all(equal_weights(start, weights) for weights in watch.weights[:skipped])
    assert not equal_weights(start, watch.weights[skipped])
    assert logged[-1]["loss"] < logged[0]["loss"] - 0.1


def test_a_killed_run_resumes_with_its_scale(train_fp16: Callable[..., tuple[Any, _Watch]]):
    trainer, watch = train_fp16("whole")
    _, killed = train_fp16("killed", last_step=5)
    assert len(killed.scales) == 5
    resumed, watch_resumed = train_fp16("killed")
    assert watch_resumed.scales == watch.scales[5:]
    assert equal_weights(read_weights(resumed), read_weights(trainer))


def load_start_weights(watch: _Watch) -> dict[str, Any]:
    """Return the weights of the first step, which was skipped; LoRA's B is still zero then."""
    first = watch.weights[0]
    assert all(not tensor.any() for name, tensor in first.items() if "lora_B" in name)
    return first


def equal_weights(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return all(torch.equal(tensor, two[name]) for name, tensor in one.items())
