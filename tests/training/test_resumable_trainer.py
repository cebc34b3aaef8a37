"""A run that ended at any step resumes and ends in the same bytes."""

import itertools
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from lockstep.training import training_log
from lockstep.training.train_params import Objective, Strategy
from tests.conftest import ADAPTERS

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "dropout": {"attention_dropout": 0.1},
    "epochs": 3.0,
    "batch_size": 2,
    "accumulation_steps": 2,
    "evaluation_steps": 2,
    "log_steps": 2,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
}
"""3 epochs of 3 steps with all sources of randomness and state that a resume could lose."""
LORA = {"r": 4, "lora_dropout": 0.2, "target_modules": "all-linear"}
ADALORA = {"tinit": 1, "tfinal": 2, "deltaT": 1, "init_r": 4, "target_r": 2}


def read_result(trainer: Any) -> tuple[Any, ...]:
    """Return the bytes of the weights, and the log."""
    tensors = {
        name: p.detach().contiguous().view(torch.uint8).numpy().tobytes()
        for name, p in trainer._iterate_trained_tensors()
    }
    history = trainer.state.log_history
    logged_steps = [(e["step"], e.get("loss"), e.get("grad_norm")) for e in history if "loss" in e]
    return tensors, logged_steps, training_log.list_evaluations(history)


def assert_resumes(run_training: Callable[..., Any], steps: list[int], **changes: Any) -> None:
    """Assert that a run killed at these steps ends in the same bytes as an uninterrupted run."""
    changes = {"adapter": LORA, **SETTINGS, **changes}
    uninterrupted = read_result(run_training("whole", **changes))
    for step in steps:
        run_training("killed", killed_at=step, **changes)
    resumed = read_result(run_training("killed", **changes))
    assert resumed[1:] == uninterrupted[1:]
    assert resumed[0] == uninterrupted[0]


@pytest.mark.parametrize("step", [1, 3, 5, 8])
def test_a_run_killed_at_any_step_resumes(run_training: Callable[..., Any], step: int):
    assert_resumes(run_training, [step])


@pytest.mark.parametrize("step", [4, 9])
def test_a_run_interrupted_during_an_evaluation_resumes(
    run_training: Callable[..., Any], step: int
):
    """The run ends at step 9, so no step after its evaluation could save a checkpoint."""
    uninterrupted = read_result(run_training("whole", **SETTINGS))
    interrupted = run_training("interrupted", interrupted_at=step, **SETTINGS)
    assert interrupted.state.global_step == step
    assert interrupted.checkpoints.find_newest() == interrupted.checkpoints.get_path(step)
    assert read_result(run_training("interrupted", **SETTINGS)) == uninterrupted


def test_checkpoints_and_evaluations_at_the_end_of_epochs(run_training: Callable[..., Any]):
    """An epoch has 3 steps; the run of 8 steps ends within the third epoch."""
    changes = {**SETTINGS, "evaluation_steps": "epoch", "epochs": 2.5}
    uninterrupted = run_training("whole", save_steps="epoch", **changes)
    saved = sorted(path.name for path in uninterrupted.checkpoints.folder.glob("step-*"))
    assert saved == ["step-000000003", "step-000000006"]
    evaluations = training_log.list_evaluations(uninterrupted.state.log_history)
    assert [step for step, _ in evaluations] == [3, 6, 8]
    run_training("killed", killed_at=5, save_steps="epoch", **changes)
    resumed = run_training("killed", save_steps="epoch", **changes)
    assert resumed.resumed_from.parent.name == "step-000000003"
    assert read_result(resumed) == read_result(uninterrupted)


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_strategy_resumes(run_training: Callable[..., Any], strategy: str):
    options = {"lora": LORA, "adalora": {**ADALORA, "target_modules": "all-linear"}}
    assert_resumes(
        run_training, [5], strategy=strategy, adapter=options.get(strategy, ADAPTERS[strategy])
    )


@pytest.mark.parametrize("objective", get_args(Objective))
def test_every_objective_resumes(run_training: Callable[..., Any], objective: str):
    options = {"num_generations": 2} if objective == "grpo" else {}
    assert_resumes(run_training, [5], objective=objective, options=options, evaluation_tokens=4)


@pytest.mark.parametrize("weighting", ["uncertainty", "loss_ratio"])
def test_task_weights_resume(run_training: Callable[..., Any], weighting: str):
    assert_resumes(run_training, [2, 5], sft__weighting=weighting)


def test_another_seed_thread_count_or_dropout_gives_other_bytes(run_training: Callable[..., Any]):
    """The comparisons of bytes above can therefore fail."""

    def train_weights(folder: str, **changes: Any) -> dict[str, bytes]:
        settings = {"adapter": LORA, **SETTINGS} if "strategy" not in changes else SETTINGS
        tensors: dict[str, bytes] = read_result(run_training(folder, **{**settings, **changes}))[0]
        return tensors

    default_weights = train_weights("plain")
    assert train_weights("again") == default_weights
    assert train_weights("dropout", dropout={"attention_dropout": 0.11}) != default_weights
    assert train_weights("seed", seed=8) != default_weights
    threads = torch.get_num_threads()
    threaded_weights = train_weights("threads", strategy="full", max_length=100)
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        assert train_weights("thread", strategy="full", max_length=100) != threaded_weights
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("rows", [3, 16, 1003])
def test_groups_of_similar_length_come_in_random_order(rows: int):
    import torch

    from lockstep.training.resumable_trainer import EpochSampler

    lengths = torch.randint(5, 200, (rows,), generator=torch.Generator().manual_seed(1)).tolist()
    sampler = EpochSampler(rows, 7, lengths, 4)
    order = list(sampler)
    assert sorted(order) == list(range(rows)) and list(sampler) == order
    assert max(lengths) in [lengths[row] for row in order[:4]], "memory must run out at once"
    groups = [[lengths[row] for row in order[start : start + 4]] for start in range(0, rows, 4)]
    if rows > 100:
        spreads = [max(group) - min(group) for group in groups[:-1]]
        assert sum(spreads) / len(spreads) < 10, "rows of a group have similar lengths"
        means = [sum(group) / len(group) for group in groups]
        quarters = [means[start : start + 62] for start in range(0, 248, 62)]
        averages = [sum(quarter) / len(quarter) for quarter in quarters]
        assert max(averages) - min(averages) < 60, "no part of the epoch has short rows alone"
        rises = sum(a < b for a, b in itertools.pairwise(means))
        assert 0.4 < rises / len(means) < 0.6, "the order is random"
    sampler.set_epoch(1)
    assert rows < 5 or list(sampler) != order
