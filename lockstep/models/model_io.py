"""Load and save models: safely, byte-stably."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lockstep.errors import UserError, report_load_errors
from lockstep.models import soft_prompt
from lockstep.params import PositiveFloat, Section

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

TRANSIENT = ("_name_or_path", "transformers_version", "use_cache")
"""Keys of config.json that say how a file was made, not what the model is."""

LOADING = ("is_local", "local_files_only", "name_or_path")
"""Keys of tokenizer_config.json that say how the tokenizer was loaded."""


HEAD_FILE = "head.json"
"""Beside weights or an adapter of a model that ends in numbers: what these are."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the numbers are that a model ends in."""

    problem: Literal["single_label_classification", "multi_label_classification", "regression"]
    """In the words of transformers."""
    labels: list[str]
    """Of a classification, in the order of its outputs; none: one number."""


class WeightsParams(Section):
    """How weights are written."""

    max_shard_gb: PositiveFloat
    """Largest weight file, in GB."""


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder, checked to render training and inference alike.

    AutoTokenizer chooses by the model's type: for a Qwen2 model it would put Qwen2's own
    splitting in place of what tokenizer.json says, also where the folder names no such class.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from lockstep.models import chat

    config = folder / "tokenizer_config.json"
    with report_load_errors(f"{folder}: the tokenizer"):
        named = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
        as_it_is = named.get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast")
        loader: Any = PreTrainedTokenizerFast if as_it_is else AutoTokenizer
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
    """The model of a folder, quantized if it was saved so, in eval mode.

    A causal language model, or one that ends in numbers if it was saved so or `head` asks for a
    new one, random by torch's seed. `changes` are made to its configuration. transformers fills
    missing tensors with random numbers without an error, so the loading report is checked. A
    `device` of None leaves it to the launcher where each part lies. The
    attention implementation is named: a folder cannot choose code.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    ends_in_numbers = head is not None or read_head(folder) is not None
    loader: Any = AutoModelForSequenceClassification if ends_in_numbers else AutoModelForCausalLM
    with report_load_errors(f"{folder}: the model"):
        model, report = loader.from_pretrained(
            folder,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map=device,
            **({"quantization_config": quantization} if quantization else {}),
            **(_configuration(head) if head else {}),
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
                "again or take another base"
            )
    _keep_four_bit_gradients_right(model)
    soft_prompt.load_soft_prompt(model, folder)
    return model.eval()


def read_head(folder: Path) -> Head | None:
    """What the model in a folder ends in; None for text."""
    path = folder / HEAD_FILE
    return Head(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_head(head: Head, folder: Path) -> None:
    """Say beside a model what it ends in."""
    text = json.dumps(asdict(head), ensure_ascii=False, indent=2, sort_keys=True)
    (folder / HEAD_FILE).write_text(text + "\n", encoding="utf-8")


def _configuration(head: Head) -> dict[str, Any]:
    names = dict(enumerate(head.labels))
    labels = {"id2label": names, "label2id": {name: place for place, name in names.items()}}
    return {"problem_type": head.problem, **(labels if names else {"num_labels": 1})}


def save_model(
    model: Any,
    folder: Path,
    max_shard_gb: float,
    start: Path | None = None,
    state: dict[str, Any] | None = None,
) -> None:
    """Write weights and configuration so that equal models give equal bytes.

    `start` is the adapter before training where that took its parts out of the base's weights
    (PiSSA, OLoRA); what is written then goes on top of the base as it was. `state` holds the
    weights where the model itself has only a part of them.
    """
    conversion = {"path_initial_model_for_weight_conversion": str(start)} if start else {}
    size = f"{max_shard_gb}GB"
    model.save_pretrained(
        folder, max_shard_size=size, safe_serialization=True, state_dict=state, **conversion
    )
    soft_prompt.save_soft_prompt(model, folder)
    normalize_files(folder)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer and its chat template so that equal ones give equal bytes."""
    tokenizer.save_pretrained(folder)
    normalize_files(folder)


def normalize_files(folder: Path) -> None:
    """Rewrite what libraries save with run-dependent keys, order or paths."""
    (folder / "README.md").unlink(missing_ok=True)
    for name in ("config.json", "generation_config.json", "adapter_config.json"):
        _rewrite(folder / name, drop=TRANSIENT)
    _rewrite(folder / "tokenizer_config.json", drop=LOADING)


def _rewrite(path: Path, drop: tuple[str, ...]) -> None:
    if not path.exists():
        return
    values = json.loads(path.read_text(encoding="utf-8"))
    values = {key: value for key, value in values.items() if key not in drop}
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(values.get(key), list):
            values[key] = sorted(values[key])  # PEFT keeps them as sets
    if "base_model_name_or_path" in values:
        values["base_model_name_or_path"] = "data/base"
    text = json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def has_finite_parameters(model: Any) -> bool:
    """Whether no parameter is NaN or infinite: a diverged run can end without an exception."""
    import torch

    return all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.is_floating_point())


def find_blocks(model: Any) -> Any:
    """The stack of transformer blocks: the longest list of modules that stands in no other."""
    import torch

    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
    }
    outer = [
        module
        for name, module in lists.items()
        if not any(name.startswith(f"{other}.") for other in lists)
    ]
    return max(outer, key=len)


def count_weight_bytes(folder: Path) -> int:
    """Bytes of the weight files of a model folder."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _keep_four_bit_gradients_right(model: Any) -> None:
    """Turn off a repacking of 4-bit weights on AVX512-BF16 CPUs.

    bitsandbytes 0.50 repacks at the first forward without gradients; gradients, merging and
    dequantizing are wrong afterwards, with no more than a warning.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
