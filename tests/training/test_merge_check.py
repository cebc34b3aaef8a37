"""What `merge` could not merge is refused before the first step."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.training import trainers
from lockstep.training.training_plan import Plan
from lockstep.training.training_run import load_model

TIED = "shares its weights with another layer, so its adapter cannot be merged"


@pytest.fixture
def build_trainer(
    make_plan: Callable[..., Plan], make_params: Callable[..., Any], tiny_model: Any
) -> Callable[..., Any]:
    """Build the trainer of a strategy with PEFT's options, on a base with tied embeddings."""

    def build(strategy: str = "lora", **adapter: Any) -> Any:
        # for sft TRL refuses an adapter of the output layer itself
        changes = {"objective": "orpo", "strategy": strategy, "adapter": adapter}
        plan = make_plan(**changes)
        return trainers.build_trainer(
            load_model(tiny_model, make_params(**changes), None, "cpu"), plan
        )

    return build


@pytest.mark.parametrize("strategy", ["lora", "qlora"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_modules": ["embed_tokens"]}, f"embed_tokens {TIED}; leave it out"),
        ({"target_modules": ["lm_head", "q_proj"]}, f"lm_head {TIED}; leave it out"),
        (
            {"target_modules": ["embed_tokens"], "ensure_weight_tying": True},
            f"embed_tokens {TIED}; leave it out",
        ),
        (
            {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
            f"lm_head {TIED}; set ensure_weight_tying: true",
        ),
        (
            {"target_modules": ["o_proj"], "lora_bias": True},
            "o_proj cannot be merged: lora_bias needs a layer with a bias",
        ),
        (
            {"target_modules": ["q_proj"], "alora_invocation_tokens": [1]},
            "aLoRA does not support safe merging",
        ),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(
    build_trainer: Callable[..., Any], strategy: str, options: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=message):
        build_trainer(strategy, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": "all-linear"},
        {"target_modules": ["q_proj"], "lora_bias": True},
        {"target_modules": ["q_proj"], "trainable_token_indices": [1, 2]},
        {
            "target_modules": ["q_proj"],
            "modules_to_save": ["embed_tokens"],
            "ensure_weight_tying": True,
        },
    ],
)
def test_an_adapter_that_can_be_merged_is_accepted_and_unchanged(
    build_trainer: Callable[..., Any], options: dict[str, Any]
):
    trainer = build_trainer(**options)
    for module in trainer.model.modules():
        assert not getattr(module, "merged", False)
