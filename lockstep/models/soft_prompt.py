"""Learnt keys and values before every input: what a soft prompt comes to once it is learnt."""

import functools
from pathlib import Path
from typing import Any

FILE = "prefix.safetensors"


def extract_soft_prompt(adapted: Any) -> dict[str, Any]:
    """The keys and values of a PEFT model's soft prompt, each (1, heads, tokens, width).

    Prefix tuning learns them; the vectors of prompt tuning and P-tuning go through the model
    once and leave theirs in its cache.
    """
    import torch

    with torch.inference_mode():
        learnt = adapted.get_prompt(batch_size=1)
        if isinstance(learnt, torch.Tensor):
            base = adapted.get_base_model()
            vectors = learnt.to(base.dtype)
            learnt = base(inputs_embeds=vectors, use_cache=True).past_key_values
    return {
        f"{name}.{place}": tensor.contiguous()
        for place, layer in enumerate(learnt.layers)
        for name, tensor in (("keys", layer.keys), ("values", layer.values))
    }


def attach_soft_prompt(model: Any, tensors: dict[str, Any]) -> None:
    """Let the model see them before every input: its own forward from now on.

    Masks and positions are the caller's, who need not know of them.
    """
    import torch
    from transformers import DynamicCache

    tokens = tensors["keys.0"].shape[2]
    forward = model.forward

    @functools.wraps(forward)
    def prefixed(input_ids: Any = None, **given: Any) -> Any:
        rows, cache = len(input_ids), given.get("past_key_values")
        if cache is None or not cache.get_seq_length():
            cache = DynamicCache() if cache is None else cache
            for place in range(len(tensors) // 2):
                pair = (tensors[f"{name}.{place}"] for name in ("keys", "values"))
                keys, values = (part.to(model.device, model.dtype) for part in pair)
                cache.update(keys.repeat(rows, 1, 1, 1), values.repeat(rows, 1, 1, 1), place)
            given["past_key_values"] = cache
        if given.get("attention_mask") is not None:
            seen = given["attention_mask"].new_ones(rows, tokens)
            given["attention_mask"] = torch.cat([seen, given["attention_mask"]], dim=1)
        if given.get("position_ids") is not None:
            given["position_ids"] = given["position_ids"] + tokens
        return forward(input_ids=input_ids, **given)

    model.forward, model.learnt_prefix = prefixed, tensors


def save_soft_prompt(model: Any, folder: Path) -> None:
    """Write what `attach` gave the model, if it did."""
    from safetensors.torch import save_file

    if tensors := getattr(model, "learnt_prefix", None):
        save_file(tensors, folder / FILE, metadata={"format": "pt"})


def load_soft_prompt(model: Any, folder: Path) -> None:
    """Attach what `save` wrote, if there is any."""
    from safetensors.torch import load_file

    if (folder / FILE).exists():
        attach_soft_prompt(model, load_file(folder / FILE))
