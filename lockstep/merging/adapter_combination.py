"""Combine several LoRA adapters of one base into one adapter, by PEFT's `add_weighted_adapter`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.merging import adapter_folder, skeleton
from lockstep.merging.merge_params import MergeParams

COMBINED = "default"
"""Name of the combined adapter in the PEFT model, which PEFT saves without a folder of its own."""

NOT_COMBINED = {
    "alora_invocation_tokens": "it is activated by tokens (aLoRA)",
    "layer_replication": "it replicates layers",
    "lora_bias": "its update has biases (lora_bias)",
    "target_parameters": "it adapts parameters of experts (target_parameters)",
    "trainable_token_indices": "it trains tokens (trainable_token_indices)",
    "use_bdlora": "it uses BD-LoRA",
    "use_dora": "it uses DoRA",
    "use_qalora": "it uses QA-LoRA",
}
"""Options of LoRA that PEFT refuses or ignores when it combines adapters, with the reason."""

BASE_KEEPING_INITIALIZATIONS = ("gaussian", "eva", "orthogonal")
"""Named values of `init_lora_weights` that leave the base's weights as they are."""


def combine_adapters(
    meta_model: Any, base: Path, folders: Mapping[str, Path], params: MergeParams, seed: int
) -> Any:
    """Return a PEFT model without weights of its own whose active adapter is the combination.

    `folders` are those of the trained adapter and of the others, by name, in the order of the
    params. Layers that the trained adapter holds whole, such as a head, are taken as they are.
    Raise UserError naming the adapter that cannot be combined.
    """
    import torch

    filled = skeleton.fill_with_placeholders(meta_model)
    names = {f"adapter{number}": folder for number, folder in enumerate(folders.values())}
    for folder in names.values():
        _check_options(folder, is_trained=folder == names["adapter0"])
    _check_ranks(list(folders.values()), params)
    adapted = skeleton.attach_adapters(filled, names, base)
    _name_target_modules(adapted)
    torch.manual_seed(seed)  # for the values that dare_* drops
    try:
        adapted.base_model.add_weighted_adapter(
            list(names), params.weights, COMBINED, params.combination, density=params.density,
            svd_rank=params.svd_rank, svd_full_matrices=False,
        )  # fmt: skip
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{', '.join(map(str, names.values()))}: {params.combination} cannot combine these "
            f"adapters: {reason}"
        ) from None
    _take_whole_layers(adapted)
    _describe_result(adapted, adapter_folder.read_config(names["adapter0"]).get("task_type"))
    return adapted


def save_combination(adapted: Any, folder: Path) -> None:
    """Write the combined adapter into a folder as PEFT does."""
    adapted.save_pretrained(folder, selected_adapters=[COMBINED], save_embedding_layers=False)


def describe_adapters(folders: Mapping[str, Path], params: MergeParams) -> dict[str, Any]:
    """Return for merge.json which adapters are merged, with which weights, and how."""
    adapters = [
        {"name": name, **adapter_folder.describe_adapter(folder)}
        for name, folder in folders.items()
    ]
    if not params.weights:
        return {"adapters": adapters}
    for adapter, weight in zip(adapters, params.weights, strict=True):
        adapter["weight"] = weight
    method = params.combination
    density = {} if method in ("cat", "linear", "svd") else {"density": params.density}
    return {"adapters": adapters, "combination": method, **density}


def _check_options(folder: Path, is_trained: bool) -> None:
    """Raise UserError if PEFT would refuse to combine an adapter, or lose a part of it."""
    config = adapter_folder.read_config(folder)
    if config["peft_type"] != "LORA":
        reason = f"it is of kind {config['peft_type']}, and PEFT combines LORA only"
    elif config.get("bias", "none") != "none":
        reason = f"it trains biases (bias: {config['bias']})"
    elif _changes_base(config):
        reason = f"it changes the base's weights (init_lora_weights: {config['init_lora_weights']})"
    elif config.get("modules_to_save") and not is_trained:
        layers = ", ".join(config["modules_to_save"])
        reason = f"it holds whole layers ({layers}), which have no weights to sum"
    else:
        reason = next((text for name, text in NOT_COMBINED.items() if config.get(name)), "")
    if reason:
        raise UserError(
            f"{folder}: cannot be combined with other adapters: {reason}; empty merge.adapters, or "
            "use plain LoRA adapters"
        )


def _changes_base(config: Mapping[str, Any]) -> bool:
    """Whether an adapter needs a base that its initialization has changed, as PiSSA's does."""
    initialization = config.get("init_lora_weights")
    return isinstance(initialization, str) and initialization not in BASE_KEEPING_INITIALIZATIONS


def _check_ranks(folders: list[Path], params: MergeParams) -> None:
    """Raise UserError if a method that combines the factors A and B gets different ranks."""
    if params.combination == "cat" or params.combination.endswith("svd"):
        return
    ranks = [_read_largest_rank(folder) for folder in folders]
    for folder, rank in zip(folders, ranks, strict=True):
        if rank != ranks[0]:
            raise UserError(
                f"{folder}: has rank {rank}, but the trained adapter has rank {ranks[0]}; "
                f"merge.combination {params.combination} needs equal ranks, cat and *svd do not"
            )


def _read_largest_rank(folder: Path) -> int:
    config = adapter_folder.read_config(folder)
    return max([config["r"], *(config.get("rank_pattern") or {}).values()])


def _name_target_modules(adapted: Any) -> None:
    """Name the adapted layers of each adapter one by one.

    PEFT joins names of layers, but not expressions with names, and takes the numbers of the layers
    from the first adapter.
    """
    for name, config in adapted.peft_config.items():
        config.target_modules = {layer for layer, _ in _iterate_layers(adapted, name)}
        config.exclude_modules = config.layers_to_transform = config.layers_pattern = None


def _iterate_layers(adapted: Any, adapter: str) -> Iterator[tuple[str, Any]]:
    """Yield name and factor A of all layers that an adapter changes."""
    from peft.tuners.lora import LoraLayer

    for name, layer in adapted.get_base_model().named_modules():
        if isinstance(layer, LoraLayer) and adapter in layer.lora_A:
            yield name, layer.lora_A[adapter].weight
        elif isinstance(layer, LoraLayer) and adapter in layer.lora_embedding_A:
            yield name, layer.lora_embedding_A[adapter]


def _take_whole_layers(adapted: Any) -> None:
    """Give the combination the layers that the trained adapter holds whole."""
    from peft.utils import ModulesToSaveWrapper

    for module in adapted.modules():
        if isinstance(module, ModulesToSaveWrapper):
            module.modules_to_save[COMBINED] = module.modules_to_save["adapter0"]


def _describe_result(adapted: Any, task_type: str | None) -> None:
    """Correct the configuration of the combination: its factors contain the scaling already.

    PEFT copies the trained adapter's rsLoRA, which scales again, and drops ranks of single layers.
    """
    config = adapted.peft_config[COMBINED]
    config.use_rslora, config.init_lora_weights, config.task_type = False, True, task_type
    ranks = {name: len(factor) for name, factor in _iterate_layers(adapted, COMBINED)}
    config.rank_pattern = {name: rank for name, rank in ranks.items() if rank != config.r}
    config.alpha_pattern = dict(config.rank_pattern)
