from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lockstep.models.chat import IGNORE_INDEX

pytestmark = pytest.mark.slow


def gradients(trainer: Any, compute_loss: Callable[..., Any], batch: Any, **given: Any) -> Any:
    """(loss, all gradients) of one batch."""
    import torch

    trainer.model.zero_grad()
    loss = compute_loss(trainer.model, dict(batch), **given)
    loss.backward()
    learnt = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return loss.item(), torch.cat(learnt)


@pytest.mark.parametrize("tokens", [None, 77])
@pytest.mark.parametrize(
    ("strategy", "smoothing"), [("full", 0.0), ("full", 0.1), ("prompt", 0.0), ("prefix", 0.0)]
)
def test_answer_loss_is_that_of_trl(
    trained: Callable[..., Any], tokens: int | None, strategy: str, smoothing: float
):
    """Other than SFTTrainer, it computes no logits of prompts; loss and gradients are the same."""
    import torch
    from trl import SFTTrainer

    options = {"label_smoothing_factor": smoothing}
    trainer = trained(strategy=strategy, epochs=0.1, dropout={}, options=options)
    batch = next(iter(trainer.get_train_dataloader()))
    assert (batch["labels"] == IGNORE_INDEX).any()
    theirs = partial(SFTTrainer.compute_loss, trainer)
    loss, ours = gradients(trainer, trainer.compute_loss, batch, num_items_in_batch=tokens)
    other, reference = gradients(trainer, theirs, batch, num_items_in_batch=tokens)
    assert loss == pytest.approx(other, rel=1e-5)
    assert ours.norm() > 0
    torch.testing.assert_close(ours, reference, rtol=1e-3, atol=1e-5)


def test_training_lowers_the_loss_of_what_it_learns(trained: Callable[..., Any]):
    trainer = trained(strategy="full", epochs=8.0, learning_rate=1e-2)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]


def test_accumulation_is_the_large_batch(trained: Callable[..., Any]):
    """Rows of different lengths: a mean of means would be another loss."""
    import torch

    same = {"strategy": "full", "epochs": 1.0, "batching": "random", "dropout": {}}
    large = trained("large", batch_size=4, accumulation_steps=1, **same)
    small = trained("small", batch_size=2, accumulation_steps=2, **same)
    one, other = (dict(t.model.named_parameters()) for t in (large, small))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-3, atol=1e-5)
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (large, small)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_accumulation_is_the_large_batch_for_numbers(trained: Callable[..., Any]):
    """Their losses are means over rows, which the library otherwise only adds up."""
    same = {"objective": "regression", "strategy": "full", "epochs": 1.0, "batching": "random"}
    large = trained("large", batch_size=4, accumulation_steps=1, dropout={}, **same)
    small = trained("small", batch_size=2, accumulation_steps=2, dropout={}, **same)
    norms = [[e["grad_norm"] for e in t.state.log_history if "loss" in e] for t in (large, small)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_packed_rows_do_not_see_each_other(trained: Callable[..., Any]):
    """The loss of rows in one sequence is that of the rows apart."""
    same = {"strategy": "full", "epochs": 1.0, "dropout": {}, "batch_size": 12}
    apart = trained("apart", batching="random", **same)
    packed = trained("packed", batching="packed", **same)
    first = [t.state.log_history[0]["loss"] for t in (apart, packed)]
    assert first[0] == pytest.approx(first[1], rel=1e-4)


def test_a_task_without_weight_is_hardly_learnt(trained: Callable[..., Any]):
    import torch

    def distance(**weights: float) -> float:
        settings = {"loss_on": "last", "weighting": "fixed", "task_weights": weights}
        trainer = trained(f"run{weights}", strategy="full", epochs=1.0, sft=settings)
        batch = next(iter(trainer.get_train_dataloader()))
        return float(torch.tensor(gradients(trainer, trainer.compute_loss, batch)[0]))

    plain, heavy = distance(intent=1.0), distance(intent=1.0, slots=9.0, reply=9.0)
    assert heavy > 2 * plain
