"""Load models and tokenizers without running foreign code."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lockstep.errors import UserError, report_load_errors
from lockstep.models import heads, lean_imports, seq2seq, soft_prompt
from lockstep.models.heads import Head

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model folder and check that its chat template can be used.

    AutoTokenizer chooses a class by the model's type. For a Qwen2 model it would replace the
    pre-tokenizer of tokenizer.json by Qwen2's own, even if the folder names a generic class.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from lockstep.models import chat

    path = folder / "tokenizer_config.json"
    with report_load_errors(f"{folder}: the tokenizer"):
        config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        is_generic = config.get("tokenizer_class") in (
            "TokenizersBackend",
            "PreTrainedTokenizerFast",
        )
        loader: Any = PreTrainedTokenizerFast if is_generic else AutoTokenizer
        tokenizer = loader.from_pretrained(folder, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    chat.check_tokenizer(tokenizer)
    return tokenizer


def load_model(
    folder: Path,
    dtype: Dtype,
    attention: str,
    device: str | None,
    quantization: Any = None,
    head: Head | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Load the model of a folder in eval mode, quantized if it was saved quantized.

    The model gets a head if it was saved with one, or if `head` requests a new one, whose
    weights are random (torch's seed). Otherwise it is a language model: sequence-to-sequence if its
    configuration has an encoder and a decoder, else causal. `changes` replace values of its
    configuration. If `device` is None, the launcher places the weights.

    transformers fills missing tensors with random numbers without an error; this function
    raises UserError instead. It always sets the attention implementation, because a folder could
    otherwise choose one that loads code.
    """
    import torch

    loader = _choose_loader(folder, head)
    with report_load_errors(f"{folder}: the model"):
        if quantization is not None or is_quantized(folder):
            lean_imports.import_bitsandbytes()
        model, report = loader.from_pretrained(
            folder,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map=device,
            **({"quantization_config": quantization} if quantization else {}),
            **(_build_head_config(head) if head else {}),
            **changes,
            attn_implementation=attention,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(str(name) for name in report[problem])
        if head is not None:
            names = [name for name in names if name.startswith(f"{model.base_model_prefix}.")]
        if names:
            raise UserError(
                f"{folder}: {problem.replace('_', ' ')}: {', '.join(names[:3])}; fetch the weights "
                "again or use another base"
            )
    _disable_four_bit_repacking(model)
    soft_prompt.load_soft_prompt(model, folder)
    return model.eval()


def _choose_loader(folder: Path, head: Head | None) -> Any:
    """Return transformers' class that loads the model with its head, if any."""
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
    )

    if head is not None or heads.read_head(folder) is not None:
        return AutoModelForSequenceClassification
    return AutoModelForSeq2SeqLM if seq2seq.is_seq2seq(folder) else AutoModelForCausalLM


def is_quantized(folder: Path) -> bool:
    """Whether bitsandbytes has quantized the weights in a model folder."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    method = (config.get("quantization_config") or {}).get("quant_method")
    return bool(method == "bitsandbytes")


def _build_head_config(head: Head) -> dict[str, Any]:
    """Return the values of config.json that make transformers build a head."""
    names = dict(enumerate(head.labels))
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    return {"problem_type": head.problem, **(labels if names else {"num_labels": 1})}


def has_finite_parameters(model: Any) -> bool:
    """Whether no parameter is NaN or infinite; a diverged run can end without an exception."""
    import torch

    return all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.is_floating_point())


def find_blocks(model: Any) -> Any:
    """Return the model's transformer blocks, those of the decoder if it has an encoder as well."""
    return find_block_lists(model)[-1]


def find_block_lists(model: Any) -> list[Any]:
    """Return the model's list of transformer blocks, or those of its encoder and its decoder."""
    if model.config.is_encoder_decoder:
        return [_find_longest_list(stack) for stack in (model.get_encoder(), model.get_decoder())]
    return [_find_longest_list(model)]


def _find_longest_list(model: Any) -> Any:
    """Return the longest ModuleList that is not inside another."""
    import torch

    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
    }
    outermost = [
        module
        for name, module in lists.items()
        if not any(name.startswith(f"{other}.") for other in lists)
    ]
    return max(outermost, key=len)


def _disable_four_bit_repacking(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    bitsandbytes 0.50 repacks them in the first forward pass without gradients. After that,
    gradients, merging and dequantizing give wrong results, with a warning at most.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
