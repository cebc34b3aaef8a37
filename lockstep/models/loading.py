"""Load models and tokenizers without running foreign code."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lockstep.errors import UserError, report_load_errors
from lockstep.models import heads, lean_imports, seq2seq, soft_prompt, template_adaptation
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.models.placement import Devices, build_device_arguments, check_attention
from lockstep.models.template_adaptation import DEFAULT_TEMPLATE_OPTIONS, TemplateOptions

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
"""The number of a layer in the name of a tensor."""


def load_tokenizer(
    folder: Path, options: TemplateOptions = DEFAULT_TEMPLATE_OPTIONS
) -> ChatTokenizer:
    """Load the tokenizer of a model folder and check that its chat template can be used.

    The template is adapted in memory: it gets the variables and the date in `options`.
    """
    with report_load_errors(f"{folder}: the tokenizer"):
        pretrained = load_pretrained_tokenizer(folder)
        template_adaptation.adapt_tokenizer(pretrained, options)
        tokenizer = ChatTokenizer(pretrained, read_end_ids(folder))
    try:
        tokenizer.check()
    except UserError as error:
        raise UserError(f"{folder}: {error.message}") from None
    return tokenizer


def load_pretrained_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model folder as transformers reads it.

    AutoTokenizer chooses a class by the model's type. For a Qwen2 model it would replace the
    pre-tokenizer of tokenizer.json by Qwen2's own, even if the folder names a generic class. For a
    Mistral model with tokenizer.model alone it would drop the blank before the first word.
    """
    import transformers

    config = _read_json(folder / "tokenizer_config.json")
    name = config.get("tokenizer_class") or ""
    loader: Any = transformers.AutoTokenizer
    if name in ("TokenizersBackend", "PreTrainedTokenizerFast"):
        loader = transformers.PreTrainedTokenizerFast
    elif name.endswith(("Tokenizer", "TokenizerFast")) and not (folder / "tokenizer.json").exists():
        loader = getattr(transformers, name, loader)
    pretrained = loader.from_pretrained(folder, local_files_only=True)
    if pretrained.chat_template is None:  # multi-modal folders once had it in a file of its own
        pretrained.chat_template = _read_json(folder / "chat_template.json").get("chat_template")
    return pretrained


def read_end_ids(folder: Path) -> list[int]:
    """Return the ids of the end tokens that a folder declares for generation.

    They are in generation_config.json; folders without that file have them in config.json. Raise
    UserError if they are no token ids.
    """
    path = folder / "generation_config.json"
    values = _read_json(path)
    if not values:
        path = folder / "config.json"
        config = _read_json(path)
        values = {**config, **(config.get("text_config") or {})}
    declared = values.get("eos_token_id")
    listed = declared if isinstance(declared, list) else [declared]
    ids = [number for number in listed if number is not None]
    if not all(type(number) is int and 0 <= number < 2**31 for number in ids):
        raise UserError(
            f"{path}: eos_token_id: {declared!r} is neither a token id nor a list of them; correct "
            "it"
        )
    return ids


def load_model(
    folder: Path,
    dtype: Dtype,
    attention: str,
    device: Devices,
    quantization: Any = None,
    head: Head | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Load the model of a folder in eval mode, quantized if it was saved quantized.

    The model gets a head if it was saved with one, or if `head` requests a new one, whose
    weights are random (torch's seed). Otherwise it is a language model: sequence-to-sequence if its
    configuration has an encoder and a decoder, else causal. `changes` replace values of its
    configuration. If `device` is None, the launcher places the weights; a mapping divides them
    among GPUs.

    transformers fills missing tensors with random numbers without an error; this function
    raises UserError instead. With a new head, the names of its parameters are in the attribute
    `new_parameters` of the model. The attention implementation is always set, because a folder
    could otherwise choose one that loads code.
    """
    import torch

    check_attention(attention)
    loader = choose_loader(folder, head)
    with report_load_errors(f"{folder}: the model"), _explain_attention(attention):
        if quantization is not None or is_quantized(folder):
            lean_imports.import_bitsandbytes()
            from lockstep.models import bnb_quantizers

            bnb_quantizers.register()
        model, report = loader.from_pretrained(
            folder,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            **build_device_arguments(device),
            **({"quantization_config": quantization} if quantization else {}),
            **(_build_head_config(head) if head else {}),
            **changes,
            attn_implementation=attention,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=head is not None,  # the base may have a head for other labels
        )
    missing, mismatched = set(report["missing_keys"]), {n for n, *_ in report["mismatched_keys"]}
    new = {n for n in missing | mismatched if head is not None and belongs_to_head(n, model)}
    problems = {
        "missing": missing - new,
        "mismatched": mismatched - new,
        "unexpected": find_surplus_layers(report["unexpected_keys"], model),
    }
    for problem, names in problems.items():
        if names:
            raise UserError(
                f"{folder}: {problem} keys: {', '.join(sorted(names)[:3])}; fetch the weights "
                "again or use another base"
            )
    model.new_parameters = sorted(new)
    _disable_four_bit_repacking(model)
    soft_prompt.load_soft_prompt(model, folder)
    return model.eval()


def is_pooler(name: str) -> bool:
    """Whether a parameter belongs to the pooler of an encoder, on which some heads are built.

    Encoders trained on masked words alone are published without it, since nothing trained it.
    """
    return "pooler" in name.split(".")[:-1]


def find_surplus_layers(unexpected: Iterable[str], model: Any) -> list[str]:
    """Return the unexpected tensors that differ from the model's only in the number of a layer.

    They mean that the configuration has fewer layers than the weights. Other unexpected tensors
    belong to parts that a task does not need, such as a head for masked words.
    """
    known = {_NUMBER.sub("N", name) for name in model.state_dict()}
    return sorted(name for name in unexpected if _NUMBER.sub("N", name) in known)


def belongs_to_head(name: str, model: Any) -> bool:
    """Whether a parameter is outside of the base model, or in its pooler."""
    return not name.startswith(f"{model.base_model_prefix}.") or is_pooler(name)


@contextmanager
def _explain_attention(attention: str) -> Iterator[None]:
    """Name `compute.attention` in the error for a model that lacks the attention kernel."""
    try:
        yield
    except ValueError as error:
        if attention == "eager" or "does not support an attention implementation" not in str(error):
            raise
        raise UserError(
            f"params.yaml: compute.attention: {attention}: {str(error).split()[0]} supports eager "
            "only; set compute.attention: eager"
        ) from None


def choose_loader(folder: Path, head: Head | None) -> Any:
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
    config = _read_json(folder / "config.json")
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


def find_media_parts(model: Any) -> list[str]:
    """Return the names of the parts of a multi-modal model that text does not pass through."""
    if "text_config" not in getattr(model.config, "sub_configs", {}):
        return []
    decoder = model.base_model.get_decoder()
    parts, path, parent = [], [model.base_model_prefix], model.base_model
    while parent is not decoder:
        inner = ""
        for name, child in parent.named_children():
            if any(module is decoder for module in child.modules()):
                inner = name
            else:
                parts.append(".".join([*path, name]))
        path, parent = [*path, inner], getattr(parent, inner)
    return parts


def find_blocks(model: Any) -> Any:
    """Return the model's transformer blocks, those of the decoder if it has an encoder as well.

    The blocks of the vision and audio parts of a multi-modal model do not count.
    """
    return find_block_lists(model)[-1]


def find_block_lists(model: Any) -> list[Any]:
    """Return the model's list of transformer blocks, or those of its encoder and its decoder."""
    if model.config.is_encoder_decoder:
        return [_find_longest_list(stack) for stack in (model.get_encoder(), model.get_decoder())]
    return [_find_longest_list(model)]


def _find_longest_list(model: Any) -> Any:
    """Return the longest ModuleList that is not inside another."""
    import torch

    media = tuple(f"{name}." for name in find_media_parts(model))
    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and not name.startswith(media)
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


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one if the file does not exist."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
