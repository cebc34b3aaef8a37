"""Arrange random weights under the tensor names of the published files."""

from typing import Any

from lockstep.verify.model_families.family import Family

Tensors = dict[str, Any]


def arrange(family: Family, tensors: Tensors) -> Tensors:
    """Return tensors with legacy names, further tensors and quantization as published."""
    arranger = _ARRANGERS.get(family.config["model_type"])
    if arranger is not None:
        tensors = arranger(family, tensors)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _arrange_bert(family: Family, tensors: Tensors) -> Tensors:
    """Google's checkpoints name the layer norm's parameters gamma and beta."""
    if family.name.startswith("chinese"):
        return tensors
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    return {_replace_ends(name, old): tensor for name, tensor in tensors.items()}


def _arrange_roberta(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoints hold position ids, and a pooler that no task uses."""
    import torch

    positions = family.config["max_position_embeddings"]
    return tensors | {
        "roberta.embeddings.position_ids": torch.arange(positions).unsqueeze(0),
        "roberta.pooler.dense.weight": torch.randn(64, 64) * 0.02,
        "roberta.pooler.dense.bias": torch.zeros(64),
    }


def _arrange_deberta(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint holds both heads of its pre-training, and positions that it does not use."""
    import torch

    renamed = {
        name.replace("cls.predictions.transform.", "lm_predictions.lm_head.").replace(
            "cls.predictions.", "lm_predictions.lm_head."
        ): tensor
        for name, tensor in tensors.items()
    }
    return renamed | {
        "deberta.embeddings.position_embeddings.weight": torch.randn(512, 64) * 0.02,
        "mask_predictions.LayerNorm.weight": torch.ones(64),
        "mask_predictions.LayerNorm.bias": torch.zeros(64),
        "mask_predictions.dense.weight": torch.randn(64, 64) * 0.02,
        "mask_predictions.dense.bias": torch.zeros(64),
        "mask_predictions.classifier.weight": torch.randn(1, 64) * 0.02,
        "mask_predictions.classifier.bias": torch.zeros(1),
    }


def _arrange_gpt2(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint has no prefix, and holds the causal mask of each layer."""
    import torch

    length = family.config["n_positions"]
    mask = torch.tril(torch.ones(length, length)).view(1, 1, length, length)
    masks = {f"h.{layer}.attn.bias": mask.clone() for layer in range(family.config["n_layer"])}
    return {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()} | masks


def _arrange_falcon(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint holds the tied output matrix a second time."""
    return tensors | {"lm_head.weight": tensors["transformer.word_embeddings.weight"].clone()}


def _arrange_t5(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint holds a relative position bias of the cross-attention, which is not used."""
    import torch

    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return tensors | {name: torch.randn(32, family.config["num_heads"])}


def _arrange_gemma3(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint was saved before transformers moved the language model into `model`."""
    starts = {
        "model.language_model.": "language_model.model.",
        "model.vision_tower.": "vision_tower.",
        "model.multi_modal_projector.": "multi_modal_projector.",
    }
    return {_replace_start(name, starts): tensor for name, tensor in tensors.items()}


def _arrange_qwen3_5(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint holds a layer that predicts a second token, which transformers ignores."""
    import torch

    dtype = torch.bfloat16
    return tensors | {
        "mtp.fc.weight": (torch.randn(64, 128) * 0.02).to(dtype),
        "mtp.norm.weight": torch.zeros(64, dtype=dtype),
        "mtp.pre_fc_norm_embedding.weight": torch.zeros(64, dtype=dtype),
        "mtp.pre_fc_norm_hidden.weight": torch.zeros(64, dtype=dtype),
    }


def _arrange_gpt_oss(family: Family, tensors: Tensors) -> Tensors:
    """The checkpoint in MXFP4 holds the experts as blocks of 32 numbers with a scale each."""
    import torch

    if "quantization_config" not in family.config:
        return tensors
    quantized: Tensors = {}
    for name, tensor in tensors.items():
        if not name.endswith((".gate_up_proj", ".down_proj")):
            quantized[name] = tensor
            continue
        experts, inputs, outputs = tensor.shape
        blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
        quantized[f"{name}_blocks"] = blocks
        quantized[f"{name}_scales"] = torch.full(blocks.shape[:-1], 120, dtype=torch.uint8)
    return quantized


_ARRANGERS = {
    "bert": _arrange_bert,
    "roberta": _arrange_roberta,
    "xlm-roberta": _arrange_roberta,
    "deberta-v2": _arrange_deberta,
    "gpt2": _arrange_gpt2,
    "falcon": _arrange_falcon,
    "t5": _arrange_t5,
    "gemma3": _arrange_gemma3,
    "qwen3_5": _arrange_qwen3_5,
    "gpt_oss": _arrange_gpt_oss,
}
"""Arrangement by model_type; other families' files are as transformers saves them."""


def _replace_ends(name: str, endings: dict[str, str]) -> str:
    """Replace the first ending that the name has."""
    for old, new in endings.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _replace_start(name: str, starts: dict[str, str]) -> str:
    """Replace the first start that the name has."""
    for old, new in starts.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
