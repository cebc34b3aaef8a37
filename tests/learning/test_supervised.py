from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stages import models
from stages.chat import IGNORED
from stages.errors import Refusal
from stages.learning import rows, supervised
from stages.records import Record


def settings(**changes: Any) -> supervised.Train:
    values: dict[str, Any] = {
        "strategy": "lora",
        "lora": {"r": 4, "alpha": 8, "dropout": 0.2, "target_modules": ["all-linear"]},
        "epochs": 2.0,
        "batch_size": 4,
        "accumulation_steps": 1,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_fraction": 0.0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "precision": "fp32",
        "group_by_length": True,
        "max_length": 200,
        "max_dropped_fraction": 0.0,
        "log_steps": 1,
        "evaluation_steps": 0,
    }
    return supervised.Train.model_validate(values | changes)


def train(tiny: Path, corpus: list[Record], scratch: Path, **changes: Any) -> Any:
    tokenizer = models.load_tokenizer(tiny)
    examples = rows.render(tokenizer, corpus, 200, 0.0).examples
    trainer = supervised.trainer(
        models.load(tiny, "float32", "eager", "cpu"),
        tokenizer,
        examples,
        examples,
        settings(**changes),
        7,
        "cpu",
        scratch,
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("name", ["loss", "grad_norm", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_is_refused(name: str, value: float):
    supervised.refuse_divergence({name: 1e30, "epoch": 1.0}, 3)
    with pytest.raises(Refusal, match=rf"{name} (nan|inf) at step 3; lower train\.learning_rate"):
        supervised.refuse_divergence({name: value}, 3)


def test_a_gradient_of_nothing_is_refused():
    with pytest.raises(Refusal, match="no gradient is left at step 3"):
        supervised.refuse_divergence({"loss": 5.7, "grad_norm": 0.0}, 3)


def test_log_has_a_row_for_each_step_logged_or_evaluated(tmp_path: Path):
    history = [
        {"step": 2, "epoch": 0.5, "loss": 2.5, "learning_rate": 1e-3, "grad_norm": 0.25},
        {"step": 2, "epoch": 0.5, "eval_loss": 2.25, "eval_runtime": 9.9},
        {"step": 3, "epoch": 1.0, "eval_loss": 2.0},
    ]
    supervised.write_log(history, tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_bytes().decode().split("\n") == [
        "step,epoch,loss,validation_loss,learning_rate,grad_norm",
        "2,0.5,2.5,2.25,0.001,0.25",
        "3,1.0,,2,,",
        "",
    ]


@pytest.mark.slow
def test_evaluation_during_training_changes_no_weight(
    tiny: Path, corpus: list[Record], tmp_path: Path
):
    weights, evaluations = [], []
    for steps in (0, 2):
        trainer = train(tiny, corpus, tmp_path, evaluation_steps=steps)
        evaluations.append(sum("eval_loss" in entry for entry in trainer.state.log_history))
        models.save(trainer.model, tmp_path / str(steps), 1.0)
        weights.append((tmp_path / str(steps) / "adapter_model.safetensors").read_bytes())
    assert evaluations == [0, 3]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_another_seed_of_dropout_would_have_changed_the_weights(
    tiny: Path, corpus: list[Record], tmp_path: Path
):
    """The test above compares something: without dropout the same steps end elsewhere."""
    plain = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["all-linear"]}
    weights = []
    for lora in ({**plain, "dropout": 0.2}, plain):
        trainer = train(tiny, corpus, tmp_path, lora=lora)
        models.save(trainer.model, tmp_path / str(lora["dropout"]), 1.0)
        path = tmp_path / str(lora["dropout"]) / "adapter_model.safetensors"
        weights.append(path.read_bytes())
    assert weights[0] != weights[1]


@pytest.mark.slow
def test_training_lowers_the_loss_of_what_it_learns(
    tiny: Path, corpus: list[Record], tmp_path: Path
):
    trainer = train(tiny, corpus, tmp_path, strategy="full", epochs=8.0, learning_rate=1e-2)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [None, 77])
def test_answer_loss_is_that_of_trl(
    tiny: Path, corpus: list[Record], tmp_path: Path, tokens: int | None
):
    """Other than SFTTrainer, it computes no logits of prompts; loss and gradients are the same."""
    import torch
    from trl import SFTTrainer

    trainer = train(tiny, corpus, tmp_path, strategy="full", epochs=0.1)
    model = trainer.model
    batch = next(iter(trainer.get_train_dataloader()))
    assert (batch["labels"] == IGNORED).any()
    losses, gradients = [], []
    for compute_loss in (trainer.compute_loss, partial(SFTTrainer.compute_loss, trainer)):
        model.zero_grad()
        loss = compute_loss(model, dict(batch), num_items_in_batch=tokens)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert gradients[0].norm() > 0
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_training_that_diverges_stops(tiny: Path, corpus: list[Record], tmp_path: Path):
    with pytest.raises(Refusal, match="training diverged"):
        train(tiny, corpus, tmp_path, learning_rate=1e9, epochs=8.0)
