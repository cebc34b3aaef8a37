"""Memory estimates agree with what torch allocates."""
# ruff: noqa: E501 - tables, one case a line

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.compute import LaunchParams
from lockstep.training import memory
from lockstep.training.memory import Memory

pytestmark = pytest.mark.slow

PARTS = Memory(weights=80, gradients=160, optimizer=240, activations=8)


def count_batch_elements(batch: dict[str, Any]) -> int:
    """Return the number of elements of a batch's tensors."""
    return sum(part.numel() for part in batch.values() if hasattr(part, "numel"))


def measure_saved_bytes(trainer: Any) -> int:
    """Return the bytes that autograd saves for the backward pass of the longest batch."""
    import torch

    sizes: dict[int, int] = {}
    parameters = {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}

    def save(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    batches = list(trainer.get_train_dataloader())
    batch = max(batches, key=count_batch_elements)
    trainer.model.train()
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return sum(sizes.values())


@pytest.mark.parametrize(
    ("objective", "strategy"),
    [
        ("sft", "full"),
        ("sft", "lora"),
        ("dpo", "lora"),
        ("kto", "lora"),
        ("orpo", "lora"),
        ("simpo", "full"),
        ("reward", "lora"),
    ],
)
def test_activations_are_estimated_within_a_factor_of_two(
    run_training: Callable[..., Any], objective: str, strategy: str
):
    settings = {"strategy": strategy, "epochs": 0.1, "dropout": {}, "batch_size": 4}
    trainer = run_training(objective=objective, **settings)
    estimate = memory.estimate_activations(trainer.model.config, trainer.plan)
    assert 0.5 < estimate / measure_saved_bytes(trainer) < 2


def test_the_reference_of_full_preference_tuning_is_counted(
    make_launch: Callable[..., LaunchParams], run_training: Callable[..., Any]
):
    full_trainer = run_training(objective="dpo", strategy="full", epochs=0.1)
    parameters = full_trainer.model.num_parameters()
    pool, *_ = memory.split_memory(
        memory.estimate_memory(full_trainer, full_trainer.plan), make_launch(), "cpu"
    )
    assert pool.needed.weights == 2 * 4 * parameters
    lora_trainer = run_training("other", objective="dpo", strategy="lora", epochs=0.1)
    pool, *_ = memory.split_memory(
        memory.estimate_memory(lora_trainer, lora_trainer.plan), make_launch(), "cpu"
    )
    assert pool.needed.weights < 1.5 * 4 * parameters


def test_weights_that_do_not_fit_are_refused_before_they_are_read(
    make_launch: Callable[..., LaunchParams],
    make_plan: Callable[..., Any],
    tiny_model: Path,
    tmp_path: Path,
):
    memory.check_weights(tiny_model, make_plan(), make_launch(), "cpu")
    write_huge_config(tmp_path)  # there is no weight file to read
    with pytest.raises(
        UserError, match=r"1073\.7 billion parameters need 4295\.0 GB for train\.strat"
    ):
        memory.check_weights(tmp_path, make_plan(), make_launch(), "cpu")


def write_huge_config(folder: Path) -> None:
    """Write the config.json of a model with 2^40 / 1.024 parameters in ten layers."""
    from transformers import Qwen2Config

    Qwen2Config(
        vocab_size=64, hidden_size=2**15, intermediate_size=2**20, num_hidden_layers=10,
        num_attention_heads=2**8, num_key_value_heads=2**8,
    ).save_pretrained(folder)  # fmt: skip


def test_the_experts_of_a_published_model_are_counted_in_4_bits(
    make_plan: Callable[..., Any], tmp_path: Path
):
    """The card of Qwen3-30B-A3B says 30.5 billion parameters, 29.9 without embeddings."""
    from transformers import Qwen3MoeConfig

    Qwen3MoeConfig(
        vocab_size=151936, hidden_size=2048, num_hidden_layers=48, num_attention_heads=32,
        num_key_value_heads=4, head_dim=128, moe_intermediate_size=768, num_experts=128,
        num_experts_per_tok=8, tie_word_embeddings=False,
    ).save_pretrained(tmp_path)  # fmt: skip
    plan = make_plan(strategy="qlora", precision="bf16")
    counts, size = memory.count_base_weights(tmp_path, plan)
    assert round(counts.total / 1e9, 1) == 30.5
    assert round(counts.quantized / 1e9, 1) == 29.9
    assert size == pytest.approx(29.9e9 * 0.516 + 0.62e9 * 2, rel=0.01)
    _, unquantized = memory.count_base_weights(tmp_path, make_plan(precision="bf16"))
    assert unquantized == 2 * counts.total


def test_qlora_on_weights_that_cannot_be_quantized_is_refused(
    make_plan: Callable[..., Any], make_launch: Callable[..., LaunchParams], tmp_path: Path
):
    from transformers import JetMoeConfig

    JetMoeConfig(vocab_size=64, hidden_size=256, num_hidden_layers=1).save_pretrained(tmp_path)
    plan = make_plan(strategy="qlora")
    with pytest.raises(UserError, match=r"train\.strategy: .*; set it to lora, or use another"):
        memory.check_weights(tmp_path, plan, make_launch(), "cpu")


def test_logits_that_are_computed_in_tiles_do_not_count(
    make_plan: Callable[..., Any], loaded_model: Any
):
    """TRL computes them in tiles (chunked_logprob) for DPO and KTO, but not for ORPO and SimPO."""
    large_vocabulary = copy.deepcopy(loaded_model.config)
    large_vocabulary.vocab_size *= 50
    for objective, is_counted in {"dpo": False, "kto": False, "orpo": True, "simpo": True}.items():
        planned = make_plan(objective=objective)
        large_estimate, small_estimate = (
            memory.estimate_activations(config, planned)
            for config in (large_vocabulary, loaded_model.config)
        )
        assert (large_estimate > small_estimate) is is_counted, objective


@pytest.mark.parametrize(
    ("changes", "copies"),
    [
        ({"objective": "dpo", "strategy": "full"}, 2),
        ({"objective": "dpo", "strategy": "lora"}, 1),
        ({"objective": "kto", "strategy": "freeze"}, 2),
        ({"objective": "dpo", "strategy": "full", "options": {"precompute_ref_log_probs": True}}, 1),
        ({"objective": "grpo", "strategy": "full", "options": {"num_generations": 4}}, 1),
        ({"objective": "grpo", "strategy": "full", "options": {"num_generations": 4, "beta": 0.1}}, 2),
        ({"objective": "sft", "strategy": "full"}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_a_reference_model_is_expected_where_the_trainer_has_one(
    run_training: Callable[..., Any], changes: dict[str, Any], copies: int
):
    trainer = run_training(epochs=0.1, evaluation_tokens=4, **changes)
    assert memory.has_reference_model(trainer.plan) == (copies == 2)
    assert (getattr(trainer, "ref_model", None) is not None) == (copies == 2)


def test_a_machine_must_hold_the_whole_model_once_per_process(
    make_launch: Callable[..., LaunchParams],
    make_plan: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (10**15, 10**15))
    write_huge_config(tmp_path)
    fsdp = {"processes": 8, "strategy": "fsdp"}
    with pytest.raises(
        UserError,
        match=r"4295\.0 GB .*, but the machine has .*; use more machines or a smaller base",
    ):
        memory.check_weights(tmp_path, make_plan(strategy="full"), make_launch(**fsdp), "cuda")
    deepspeed = {**fsdp, "strategy": "deepspeed", "zero_stage": 3}
    memory.check_weights(tmp_path, make_plan(strategy="full"), make_launch(**deepspeed), "cuda")


def test_processes_of_one_machine_share_its_memory(
    make_launch: Callable[..., LaunchParams],
):
    available = memory.split_memory(PARTS, make_launch(), "cpu")[0].available
    assert memory.split_memory(PARTS, make_launch(processes=4), "cpu")[0].available < available / 2


@pytest.mark.parametrize(
    ("changes", "device", "machine"),
    [
        ({"strategy": "ddp"}, (80, 160, 240, 8), None),
        ({"strategy": "fsdp"}, (10, 20, 30, 8), None),
        ({"strategy": "deepspeed", "zero_stage": 2}, (80, 20, 30, 8), None),
        ({"strategy": "deepspeed", "zero_stage": 3}, (10, 20, 30, 8), None),
        ({"strategy": "fsdp", "offload": True}, (0, 0, 0, 8), (10, 20, 30, 0)),
        ({"strategy": "deepspeed", "zero_stage": 2, "offload": True}, (80, 0, 0, 8), (0, 20, 30, 0)),
    ],
    ids=str,
)  # fmt: skip
def test_each_of_eight_processes_needs_its_shard(
    make_launch: Callable[..., LaunchParams],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    device: tuple[int, ...],
    machine: tuple[int, ...] | None,
):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (1, 1))
    pools = memory.split_memory(PARTS, make_launch(processes=8, **changes), "cuda")
    assert [pool.name for pool in pools] == ["device", "machine"][: len(pools)]
    assert [tuple(asdict(pool.needed).values()) for pool in pools] == [
        deepspeed for deepspeed in (device, machine) if deepspeed
    ]
