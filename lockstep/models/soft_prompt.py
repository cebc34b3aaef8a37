"""Soft prompts: trained keys and values that the model attends to before every input."""

import functools
from pathlib import Path
from typing import Any

FILE = "prefix.safetensors"
"""File in a model's folder that holds its soft prompt."""


def extract_soft_prompt(adapted: Any) -> dict[str, Any]:
    """Return the keys and values of a PEFT model's soft prompt, each (1, heads, tokens, width).

    Prefix tuning trains them directly. Prompt tuning and P-tuning train input vectors, which
    pass through the model once here to fill its cache with keys and values.
    """
    import torch

    with torch.inference_mode():
        prompt = adapted.get_prompt(batch_size=1)
        if isinstance(prompt, torch.Tensor):
            base = adapted.get_base_model()
            prompt = base(inputs_embeds=prompt.to(base.dtype), use_cache=True).past_key_values
    return {
        f"{name}.{number}": tensor.contiguous()
        for number, layer in enumerate(prompt.layers)
        for name, tensor in (("keys", layer.keys), ("values", layer.values))
    }


def attach_soft_prompt(model: Any, tensors: dict[str, Any]) -> None:
    """Replace the model's forward by one that attends to a soft prompt before every input.

    Callers pass masks and positions for their own tokens only; this forward extends them.
    """
    import torch
    from transformers import DynamicCache

    tokens = tensors["keys.0"].shape[2]
    forward = model.forward

    @functools.wraps(forward)
    def forward_with_prompt(input_ids: Any = None, **arguments: Any) -> Any:
        rows, cache = len(input_ids), arguments.get("past_key_values")
        if cache is None or not cache.get_seq_length():
            cache = DynamicCache() if cache is None else cache
            for number in range(len(tensors) // 2):
                pair = (tensors[f"{name}.{number}"] for name in ("keys", "values"))
                keys, values = (part.to(model.device, model.dtype) for part in pair)
                cache.update(keys.repeat(rows, 1, 1, 1), values.repeat(rows, 1, 1, 1), number)
            arguments["past_key_values"] = cache
        if arguments.get("attention_mask") is not None:
            prompt_mask = arguments["attention_mask"].new_ones(rows, tokens)
            arguments["attention_mask"] = torch.cat(
                [prompt_mask, arguments["attention_mask"]], dim=1
            )
        if arguments.get("position_ids") is not None:
            arguments["position_ids"] = arguments["position_ids"] + tokens
        return forward(input_ids=input_ids, **arguments)

    model.forward, model.soft_prompt = forward_with_prompt, tensors


def save_soft_prompt(model: Any, folder: Path) -> None:
    """Write the model's soft prompt into the folder, if it has one."""
    from safetensors.torch import save_file

    if tensors := getattr(model, "soft_prompt", None):
        save_file(tensors, folder / FILE, metadata={"format": "pt"})


def load_soft_prompt(model: Any, folder: Path) -> None:
    """Attach the soft prompt that the folder holds, if there is one."""
    from safetensors.torch import load_file

    if (folder / FILE).exists():
        attach_soft_prompt(model, load_file(folder / FILE))
