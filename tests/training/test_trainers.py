"""Every objective trains, every strategy trains its parameters, every option has an effect."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from lockstep.errors import UserError
from lockstep.models.chat import ChatTokenizer
from lockstep.training import interruption, trainer_arguments, trainers, training_log
from lockstep.training.checkpoints import Checkpoints
from lockstep.training.train_params import Objective, Strategy
from lockstep.training.training_plan import Plan, plan_training
from lockstep.training.training_run import load_model

pytestmark = pytest.mark.slow

LORA = {"r": 4, "lora_dropout": 0.0, "target_modules": "all-linear"}
WSD = {"num_decay_steps": 2}
ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors"]
MODEL_FILES = ["config.json", "generation_config.json", "model.safetensors"]
TOKENIZER_FILES = ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
EVALUATION_METRICS = {
    "sft": {"loss"},
    "dpo": {"loss", "accuracy", "margin"},
    "orpo": {"loss", "accuracy", "margin"},
    "simpo": {"loss", "accuracy", "margin"},
    "kto": {"loss", "margin"},
    "reward": {"loss", "accuracy", "margin"},
    "grpo": {"loss", "reward"},
    "classification": {"loss", "accuracy"},
    "regression": {"loss", "mean_squared_error"},
}


@pytest.fixture(scope="module")
def default_weights() -> dict[float, dict[str, bytes]]:
    """Weights of training with default options, cached by number of epochs."""
    return {}


def list_losses(trainer: Any) -> list[float]:
    return training_log.list_losses(trainer.state.log_history)


def read_weights(trainer: Any) -> dict[str, bytes]:
    import torch

    return {
        name: p.detach().contiguous().view(torch.uint8).numpy().tobytes()
        for name, p in trainer.model.named_parameters()
    }


@pytest.mark.parametrize("objective", get_args(Objective))
def test_each_objective_is_trained_and_evaluated(
    run_training: Callable[..., Any], objective: str, tmp_path: Path
):
    options = {"num_generations": 4} if objective == "grpo" else {}
    trainer = run_training(
        objective=objective, strategy="full", learning_rate=3e-3, options=options,
        epochs=1.0 if objective == "grpo" else 6.0, evaluation_tokens=4,
    )  # fmt: skip
    evaluations = training_log.list_evaluations(trainer.state.log_history)
    assert evaluations[-1][1].keys() == EVALUATION_METRICS[objective]
    first, last = evaluations[0][1], evaluations[-1][1]
    if "margin" in last:
        assert last["margin"] > first["margin"]
    elif objective != "grpo":  # the answers of a random model are never right
        assert last["loss"] < first["loss"]
    trainer.save_result(tmp_path / "out", 1.0)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert "model.safetensors" in files
    assert ("head.json" in files) == (objective in ("reward", "classification", "regression"))


def test_the_loss_of_a_reward_model_has_the_margin_of_each_pair(
    make_params: Callable[..., Any], make_records: Callable[..., Any], tiny_model: Path,
    tmp_path: Path,
):  # fmt: skip
    """The loss is -log sigmoid(chosen - rejected - margin), as in Llama 2 (arXiv:2307.09288)."""
    import torch

    pairs = [replace(r, margin=3.0) if n % 2 else r for n, r in enumerate(make_records("reward"))]
    params = make_params(objective="reward", strategy="full")
    config = trainer_arguments.build_trainer_config(params.train, 7, "cpu", tmp_path)
    plan = plan_training(tiny_model, pairs, pairs, {}, params, config)
    trainer: Any = trainers.build_trainer(load_model(tiny_model, params, plan.head, "cpu"), plan)
    checkpoints = Checkpoints(tmp_path / "run", 1, 2)
    trainer.prepare_to_resume(checkpoints, interruption.Interruption(), plan)
    trainer.model.eval()
    losses = []
    for pair, row in zip(pairs, plan.validation_rows.rows, strict=True):
        with torch.no_grad():
            chosen, rejected = (
                trainer.model(torch.tensor([row.values[name]])).logits[0, 0]
                for name in ("chosen_ids", "rejected_ids")
            )
        difference = chosen - rejected - (pair.margin or 0.0)
        losses.append(float(-torch.nn.functional.logsigmoid(difference)))
    assert sum(losses) / len(losses) > 1.5
    assert trainer.evaluate()["eval_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-3)


@pytest.mark.parametrize(
    "rewards",
    [
        [{"kind": "length", "weight": 2.0}],
        [{"kind": "json", "weight": 5.0}, {"kind": "length", "weight": 0.5}],
        [{"kind": "exact_match", "weight": 1.0}, {"kind": "length", "weight": 3.0}],
    ],
    ids=str,
)
def test_grpo_adds_up_the_weighted_rewards(
    run_training: Callable[..., Any], rewards: list[dict[str, Any]]
):
    """A random model earns only the reward for short answers: it generates 4 tokens at most."""
    trainer = run_training(
        objective="grpo", strategy="full", options={"num_generations": 4}, epochs=0.25,
        evaluation_tokens=4, grpo={"rewards": rewards},
    )  # fmt: skip
    names = {"exact_match": "exact_match", "json": "json_validity", "length": "length"}
    history = trainer.state.log_history
    metrics = next(entry for entry in history if "eval_reward" in entry)
    means = [metrics[f"eval_rewards/{names[reward['kind']]}/mean"] for reward in rewards]
    assert means[-1] > 0.5
    total = sum(reward["weight"] * mean for reward, mean in zip(rewards, means, strict=True))
    assert metrics["eval_reward"] == pytest.approx(total, rel=1e-5)
    logged_rewards = [entry["reward"] for entry in history if "reward" in entry]
    assert all(reward > 0.4 * rewards[-1]["weight"] for reward in logged_rewards)


def test_grpo_rewards_the_answer_without_the_reasoning_in_front_of_it(
    run_training: Callable[..., Any], tokenizer: ChatTokenizer
):
    trainer = run_training(
        objective="grpo", options={"num_generations": 2}, epochs=0.1, evaluation_tokens=2,
        grpo={"rewards": [{"kind": "exact_match", "weight": 1.0}]},
    )  # fmt: skip
    text = "<think>\nIt is late.\n</think>\n\nrefund"
    ids = [*tokenizer.encode_text(text), tokenizer.end_ids[0]]
    rows = [{"prompt": "p", "reference": "refund"}, {"prompt": "p", "reference": text}]
    rewards = trainer._calculate_rewards(rows, ["p", "p"], [text, text], [ids, ids])
    assert rewards.tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_each_strategy_trains_only_its_parameters(
    run_training: Callable[..., Any], strategy: str, tmp_path: Path
):
    trainer = run_training(strategy=strategy, learning_rate=1e-2)
    start = run_training("start", strategy=strategy, epochs=1.0)
    before, after = read_weights(start), read_weights(trainer)
    trained_names = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    changed = {name for name in before if before[name] != after[name]}
    assert changed
    assert changed <= trained_names
    if strategy == "full":
        assert trained_names == set(before)
    if strategy == "freeze":
        assert {name.split(".")[2] for name in trained_names if ".layers." in name} == {"1"}
        assert {
            "model.norm.weight",
            "model.embed_tokens.weight",
        } <= trained_names  # tied to the head
    trainer.save_result(tmp_path / "out", 1.0)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == sorted(
        [*(MODEL_FILES if strategy in ("full", "freeze") else ADAPTER_FILES), *TOKENIZER_FILES]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "linear"},
        {"schedule": "constant"},
        {"schedule": "polynomial"},
        {"schedule": "warmup_stable_decay", "options": {"lr_scheduler_kwargs": WSD}},
        {"warmup": 3.0},
        {"warmup": 0.9},
        {"optimizer": "adafactor"},
        {"optimizer": "lion_32bit"},
        {"optimizer": "paged_adamw_8bit"},
        {"optimizer": "schedule_free_adamw", "schedule": "constant"},
        {"weight_decay": 0.5},
        {"max_grad_norm": 1e-3},
        {"batching": "random"},
        {"batching": "packed"},
        {"batch_size": 2},
        {"accumulation_steps": 2},
        {"max_length": 40},
        {"tasks": ["intent", "slots"]},
        {"dropout": {"attention_dropout": 0.3}},
        {"precision": "bf16"},
        {"options": {"neftune_noise_alpha": 5.0}},
        {"options": {"label_smoothing_factor": 0.2}},
        {"options": {"adam_beta2": 0.5}},
        {"options": {"loss_type": "dft"}},
        {"sft.weighting": "uncertainty"},
        {"sft.weighting": "loss_ratio", "epochs": 3.0},
        {"sft.task_weights": {"slots": 3.0}},
        {"adapter": {**LORA, "use_dora": True}},
        {"adapter": {**LORA, "use_rslora": True}},
        {"adapter": {**LORA, "init_lora_weights": "pissa"}},
        {"adapter": {**LORA, "init_lora_weights": "olora"}},
        {"adapter": {**LORA, "loraplus_lr_ratio": 16.0}},
        {"adapter": {**LORA, "lora_dropout": 0.3}},
        {"adapter": {**LORA, "target_modules": ["q_proj"]}},
    ],
    ids=str,
)  # fmt: skip
def test_each_option_takes_effect(
    run_training: Callable[..., Any],
    default_weights: dict[float, dict[str, bytes]],
    changes: dict[str, Any],
):
    settings = {"adapter": LORA, "learning_rate": 1e-2, "max_dropped_fraction": 1.0}
    epochs = changes.get("epochs", 2.0)
    if epochs not in default_weights:
        default_weights[epochs] = read_weights(run_training("plain", **settings, epochs=epochs))
    assert read_weights(run_training("other", **{**settings, **changes})) != default_weights[epochs]


def test_activation_checkpointing_does_not_change_the_losses(run_training: Callable[..., Any]):
    """Checkpointing changes only the memory used; the layers show that it is on."""
    settings = {"strategy": "full", "learning_rate": 1e-2}
    default, checkpointed = (
        run_training(str(enabled), activation_checkpointing=enabled, **settings)
        for enabled in (False, True)
    )
    assert list_losses(default) == pytest.approx(list_losses(checkpointed), rel=1e-5)
    layers = [t.model.model.layers[0] for t in (default, checkpointed)]
    assert [layer.gradient_checkpointing for layer in layers] == [False, True]


@pytest.mark.parametrize(
    ("objective", "optimizer"),
    [
        ("sft", "adamw_torch_fused"),
        ("sft", "schedule_free_adamw"),
        ("dpo", "adamw_torch_fused"),
        ("grpo", "adamw_torch_fused"),
    ],
)
def test_evaluation_during_training_changes_no_weight(
    run_training: Callable[..., Any], optimizer: str, objective: str
):
    """The evaluation generates answers; dropout is on, and one optimizer swaps the weights."""
    settings = {
        "objective": objective,
        "options": {"num_generations": 4} if objective == "grpo" else {},
        "epochs": 0.25 if objective == "grpo" else 2.0,
        "optimizer": optimizer,
        "schedule": "constant",
        "dropout": {"attention_dropout": 0.2},
        "learning_rate": 1e-2,
        "evaluation_tokens": 4,
    }
    evaluated = run_training("often", evaluation_steps=1, evaluation_answers=3, **settings)
    unevaluated = run_training("never", evaluation_steps=0, **settings)
    evaluations = [
        len(training_log.list_evaluations(t.state.log_history)) for t in (evaluated, unevaluated)
    ]
    assert evaluations[1] == 1 < evaluations[0]
    assert read_weights(evaluated) == read_weights(unevaluated)


def test_early_stopping_keeps_the_best_weights(run_training: Callable[..., Any]):
    """The learning rate is so high that the loss rises after some steps."""
    settings = {"strategy": "full", "learning_rate": 3e-2, "schedule": "constant", "warmup": 0.0}
    stopping = {"patience": 3, "metric": "loss", "min_change": 0.0}
    trainer = run_training(epochs=20.0, evaluation_steps=1, early_stopping=stopping, **settings)
    losses = [
        metrics["loss"] for _, metrics in training_log.list_evaluations(trainer.state.log_history)
    ]
    best = min(losses)
    assert losses.index(best) == len(losses) - 4
    assert trainer.find_result_evaluation() == len(losses) - 4
    assert trainer.state.global_step < trainer.state.max_steps
    assert trainer.evaluate()["eval_loss"] == pytest.approx(best, rel=1e-5)


def test_the_metric_of_early_stopping_is_ignored_without_patience(run_training: Callable[..., Any]):
    stopping = {"patience": 0, "metric": "accuracy", "min_change": 0.0}
    trainer = run_training(evaluation_steps=1, epochs=0.5, early_stopping=stopping)
    assert trainer.state.global_step == trainer.state.max_steps


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": "q_proj("},
        {"target_modules": ["q_proj"], "exclude_modules": "(k"},
        {"target_modules": ["q_proj"], "rank_pattern": {"(": 4}},
    ],
)
def test_a_pattern_that_is_no_regular_expression_is_an_error(
    make_plan: Callable[..., Plan],
    make_params: Callable[..., Any],
    tiny_model: Any,
    options: dict[str, Any],
):
    changes = {"strategy": "lora", "adapter": options}
    model = load_model(tiny_model, make_params(**changes), None, "cpu")
    with pytest.raises(UserError, match=r"^params\.yaml: train: sft with strategy lora: .*pattern"):
        trainers.build_trainer(model, make_plan(**changes))
