"""The supervised trainer computes the losses and gradients of TRL."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lockstep.models.chat import IGNORE_INDEX

pytestmark = pytest.mark.slow


def compute_gradients(
    trainer: Any, compute_loss: Callable[..., Any], batch: Any, **kwargs: Any
) -> Any:
    """Return the loss of a batch and all gradients."""
    import torch

    trainer.model.zero_grad()
    loss = compute_loss(trainer.model, dict(batch), **kwargs)
    loss.backward()
    flat = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return loss.item(), torch.cat(flat)


@pytest.mark.parametrize("tokens", [None, 77])
@pytest.mark.parametrize(
    ("strategy", "smoothing"), [("full", 0.0), ("full", 0.1), ("prompt", 0.0), ("prefix", 0.0)]
)
def test_the_loss_of_answers_equals_that_of_trl(
    run_training: Callable[..., Any], tokens: int | None, strategy: str, smoothing: float
):
    """Unlike SFTTrainer, our trainer computes no logits of prompts."""
    import torch
    from trl import SFTTrainer

    options = {"label_smoothing_factor": smoothing}
    trainer = run_training(strategy=strategy, epochs=0.1, dropout={}, options=options)
    batch = next(iter(trainer.get_train_dataloader()))
    assert (batch["labels"] == IGNORE_INDEX).any()
    compute_trl_loss = partial(SFTTrainer.compute_loss, trainer)
    loss, gradient = compute_gradients(
        trainer, trainer.compute_loss, batch, num_items_in_batch=tokens
    )
    reference_loss, reference_gradient = compute_gradients(
        trainer, compute_trl_loss, batch, num_items_in_batch=tokens
    )
    assert loss == pytest.approx(reference_loss, rel=1e-5)
    assert gradient.norm() > 0
    torch.testing.assert_close(gradient, reference_gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("task_weights", [{}, {"intent": 3.0}], ids=str)
def test_equal_weights_of_rows_give_the_mean_of_their_losses_by_trl(
    run_training: Callable[..., Any], task_weights: dict[str, float]
):
    import torch
    from trl import SFTTrainer

    weighting = {"weighting": "rows", "task_weights": task_weights}
    trainer = run_training(strategy="full", epochs=1.0, dropout={}, sft=weighting)
    batch = next(iter(trainer.get_train_dataloader()))
    lengths = (batch["labels"] != IGNORE_INDEX).sum(1)
    assert len(set(lengths.tolist())) > 1, "answers of one length would not tell the weighting"
    indices = batch.pop("tasks", None)
    weights = torch.ones(len(lengths))
    if task_weights:
        tasks = [trainer.task_weights.tasks[index] for index in indices]
        assert len(set(tasks)) > 1, "rows of one task would not tell the weights"
        weights = torch.tensor([task_weights.get(task, 1.0) for task in tasks])
    compute_trl_loss = partial(SFTTrainer.compute_loss, trainer)
    rows = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(len(lengths))]
    losses, gradients = zip(
        *(compute_gradients(trainer, compute_trl_loss, row) for row in rows), strict=True
    )
    loss, gradient = compute_gradients(
        trainer, trainer.compute_loss, dict(batch) | {"tasks": indices}
    )
    assert loss == pytest.approx(float((weights * torch.tensor(losses)).mean()), rel=1e-5)
    expected = (weights[:, None] * torch.stack(gradients)).mean(0)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def test_training_lowers_the_training_loss(run_training: Callable[..., Any]):
    trainer = run_training(strategy="full", epochs=8.0, learning_rate=1e-2)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("sft", [{}, {"weighting": "rows"}], ids=str)
def test_accumulated_batches_equal_a_large_batch(
    run_training: Callable[..., Any], sft: dict[str, Any]
):
    """Rows differ in length, so averaging the means of the batches would give another loss."""
    import torch

    settings = {"strategy": "full", "epochs": 1.0, "batching": "random", "dropout": {}, "sft": sft}
    large = run_training("large", batch_size=4, accumulation_steps=1, **settings)
    small = run_training("small", batch_size=2, accumulation_steps=2, **settings)
    parameters, other_parameters = (dict(t.model.named_parameters()) for t in (large, small))
    for name, tensor in parameters.items():
        torch.testing.assert_close(tensor, other_parameters[name], rtol=1e-3, atol=1e-5)
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (large, small)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_accumulated_batches_equal_a_large_batch_under_regression(run_training: Callable[..., Any]):
    """The loss is a mean over the rows of a batch; transformers would add up the means."""
    settings = {"objective": "regression", "strategy": "full", "epochs": 1.0, "batching": "random"}
    large = run_training("large", batch_size=4, accumulation_steps=1, dropout={}, **settings)
    small = run_training("small", batch_size=2, accumulation_steps=2, dropout={}, **settings)
    norms = [[e["grad_norm"] for e in t.state.log_history if "loss" in e] for t in (large, small)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_packed_rows_do_not_attend_to_each_other(run_training: Callable[..., Any]):
    """Rows packed into one sequence have the same loss as padded rows."""
    settings = {"strategy": "full", "epochs": 1.0, "dropout": {}, "batch_size": 12}
    padded = run_training("padded", batching="random", **settings)
    packed = run_training("packed", batching="packed", **settings)
    first_losses = [t.state.log_history[0]["loss"] for t in (padded, packed)]
    assert first_losses[0] == pytest.approx(first_losses[1], rel=1e-4)


def test_the_weight_of_a_task_multiplies_its_loss(run_training: Callable[..., Any]):
    import torch

    def compute_first_loss(**weights: float) -> float:
        trainer = run_training(
            f"run{weights}", strategy="full", epochs=1.0, sft={"task_weights": weights}
        )
        batch = next(iter(trainer.get_train_dataloader()))
        return float(torch.tensor(compute_gradients(trainer, trainer.compute_loss, batch)[0]))

    equal_loss, weighted_loss = (
        compute_first_loss(intent=1.0),
        compute_first_loss(intent=1.0, slots=9.0, reply=9.0),
    )
    assert weighted_loss > 2 * equal_loss
