"""A training that was ended at any step goes on to the same bytes."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from lockstep.training import training_log
from lockstep.training.train_params import Objective, Strategy

pytestmark = pytest.mark.slow

ADALORA = {
    "init_r": 4,
    "target_r": 2,
    "tinit": 1,
    "tfinal": 2,
    "deltaT": 1,
    "target_modules": "all-linear",
}
HARD = {
    "strategies__lora": {"r": 4, "lora_dropout": 0.2, "target_modules": "all-linear"},
    "strategies__adalora": ADALORA,
    "dropout": {"attention_dropout": 0.1},
    "epochs": 3.0,
    "batch_size": 2,
    "accumulation_steps": 2,
    "evaluation_steps": 2,
    "log_steps": 2,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
}
"""What a resume can get wrong: 3 epochs of 3 steps, with everything random on."""


def result(trainer: Any) -> tuple[Any, ...]:
    """The bytes that training made: weights and log."""
    tensors = {
        name: p.detach().contiguous().view(torch.uint8).numpy().tobytes()
        for name, p in trainer._trained()
    }
    history = trainer.state.log_history
    logged = [(e["step"], e.get("loss"), e.get("grad_norm")) for e in history if "loss" in e]
    return tensors, logged, training_log.evaluations(history)


def compare(trained: Callable[..., Any], stops: list[int], **changes: Any) -> None:
    whole = result(trained("whole", **changes))
    for stop in stops:
        trained("ended", killed_at=stop, **changes)
    again = result(trained("ended", **changes))
    assert again[1:] == whole[1:]
    assert again[0] == whole[0]


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_within_epochs_and_between_them(trained: Callable[..., Any], stop: int):
    compare(trained, [stop], **HARD)


@pytest.mark.parametrize("step", [4, 9])
def test_asked_to_end_within_an_evaluation(trained: Callable[..., Any], step: int):
    """The last one, too, after which no step is left to save at."""
    whole = result(trained("whole", **HARD))
    ended = trained("ended", asked_at=step, **HARD)
    assert ended.state.global_step == step
    assert ended.run.newest() == ended.run.at(step)
    assert result(trained("ended", **HARD)) == whole


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_with_every_strategy(trained: Callable[..., Any], strategy: str):
    compare(trained, [5], **HARD, strategy=strategy)


@pytest.mark.parametrize("objective", get_args(Objective))
def test_with_every_objective(trained: Callable[..., Any], objective: str):
    options = {"num_generations": 2} if objective == "grpo" else {}
    compare(trained, [5], **HARD, objective=objective, options=options, evaluation_tokens=4)


@pytest.mark.parametrize("weighting", ["uncertainty", "loss_ratio"])
def test_with_learnt_task_weights(trained: Callable[..., Any], weighting: str):
    compare(trained, [2, 5], **HARD, sft__weighting=weighting)


def test_another_seed_thread_count_or_dropout_gives_other_bytes(trained: Callable[..., Any]):
    """The tests above compare something."""

    def weights(folder: str, **changes: Any) -> dict[str, bytes]:
        tensors: dict[str, bytes] = result(trained(folder, **{**HARD, **changes}))[0]
        return tensors

    plain = weights("plain")
    assert weights("again") == plain
    assert weights("dropout", dropout={"attention_dropout": 0.11}) != plain
    assert weights("seed", seed=8) != plain
    threads = torch.get_num_threads()
    many = weights("threads", strategy="full", max_length=100)
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        assert weights("thread", strategy="full", max_length=100) != many
    finally:
        torch.set_num_threads(threads)
