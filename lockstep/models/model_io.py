"""Load models without running foreign code, and save them so that equal models give equal bytes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lockstep.errors import UserError, report_load_errors
from lockstep.models import lean_imports, soft_prompt
from lockstep.params import PositiveFloat, Section

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

RUN_DEPENDENT_CONFIG_KEYS = ("_name_or_path", "transformers_version", "use_cache")
"""Keys of config.json that describe how the file was made, not the model."""

RUN_DEPENDENT_TOKENIZER_KEYS = ("is_local", "local_files_only", "name_or_path")
"""Keys of tokenizer_config.json that describe how the tokenizer was loaded."""

HEAD_FILE = "head.json"
"""File beside the weights or the adapter of a model with a head; it describes the head."""


@dataclass(frozen=True, slots=True)
class Head:
    """The classification, regression or reward head of a model."""

    problem: Literal["single_label_classification", "multi_label_classification", "regression"]
    """Kind of head, as transformers names it in `problem_type`."""
    labels: list[str]
    """Labels of a classification, in the order of the head's outputs; empty for one number."""


class WeightsParams(Section):
    """Format of the weight files that stages write."""

    max_shard_gb: PositiveFloat = 4.0
    """Maximum size of one weight file, in GB; larger models are written as several shards."""


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
    weights are random (torch's seed). Otherwise it is a causal language model. `changes` replace
    values of its configuration. If `device` is None, the launcher places the weights.

    transformers fills missing tensors with random numbers without an error; this function
    raises UserError instead. It always sets the attention implementation, because a folder could
    otherwise choose one that loads code.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    has_head = head is not None or read_head(folder) is not None
    loader: Any = AutoModelForSequenceClassification if has_head else AutoModelForCausalLM
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


def is_quantized(folder: Path) -> bool:
    """Whether bitsandbytes has quantized the weights in a model folder."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    method = (config.get("quantization_config") or {}).get("quant_method")
    return bool(method == "bitsandbytes")


def read_head(folder: Path) -> Head | None:
    """Read the description of a model's head; None for a causal language model."""
    path = folder / HEAD_FILE
    return Head(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_head(head: Head, folder: Path) -> None:
    """Write the description of a model's head into its folder."""
    text = json.dumps(asdict(head), ensure_ascii=False, indent=2, sort_keys=True)
    (folder / HEAD_FILE).write_text(text + "\n", encoding="utf-8")


def _build_head_config(head: Head) -> dict[str, Any]:
    """Return the values of config.json that make transformers build a head."""
    names = dict(enumerate(head.labels))
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    return {"problem_type": head.problem, **(labels if names else {"num_labels": 1})}


def save_model(
    model: Any,
    folder: Path,
    max_shard_gb: float,
    start: Path | None = None,
    state: dict[str, Any] | None = None,
) -> None:
    """Write weights and configuration so that equal models give equal bytes.

    PiSSA and OLoRA extract the initial adapter from the base's weights. `start` is the folder of
    that initial adapter; the saved adapter is then converted so that it fits the original base.
    `state` holds all weights if the model itself holds only a part of them.
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


def save_folder(
    model: Any, tokenizer: Any, head: Head | None, folder: Path, max_shard_gb: float
) -> None:
    """Write a whole model folder: weights, configuration, tokenizer and, if any, the head."""
    save_model(model, folder, max_shard_gb)
    save_tokenizer(tokenizer, folder)
    if head:
        write_head(head, folder)


def normalize_files(folder: Path) -> None:
    """Rewrite the files of a model folder without run-dependent keys, key order and paths."""
    (folder / "README.md").unlink(missing_ok=True)
    for name in ("config.json", "generation_config.json", "adapter_config.json"):
        _normalize_json(folder / name, drop=RUN_DEPENDENT_CONFIG_KEYS)
    _normalize_json(folder / "tokenizer_config.json", drop=RUN_DEPENDENT_TOKENIZER_KEYS)


def _normalize_json(path: Path, drop: tuple[str, ...]) -> None:
    """Rewrite a JSON file with sorted keys and without those in `drop`, if it exists."""
    if not path.exists():
        return
    values = json.loads(path.read_text(encoding="utf-8"))
    values = {key: value for key, value in values.items() if key not in drop}
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(values.get(key), list):
            values[key] = sorted(values[key])  # PEFT writes sets, in any order
    if "base_model_name_or_path" in values:
        values["base_model_name_or_path"] = "data/base"
    text = json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def has_finite_parameters(model: Any) -> bool:
    """Whether no parameter is NaN or infinite; a diverged run can end without an exception."""
    import torch

    return all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.is_floating_point())


def find_blocks(model: Any) -> Any:
    """Return the model's transformer blocks: the longest ModuleList that is not inside another."""
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


def count_weight_bytes(folder: Path) -> int:
    """Return the total size of the weight files of a model folder, in bytes."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _disable_four_bit_repacking(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    bitsandbytes 0.50 repacks them in the first forward pass without gradients. After that,
    gradients, merging and dequantizing give wrong results, with a warning at most.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
