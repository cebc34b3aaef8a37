"""Merge an adapter into a whole model in 32 bits and prove that the outputs stay the same."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import records
from lockstep.errors import UserError
from lockstep.models import lean_imports, loading, placement, seq2seq, soft_prompt
from lockstep.models.chat import ChatTokenizer
from lockstep.models.seq2seq import Pair
from lockstep.records import Record

MAX_PROMPT_TOKENS = 512
"""Maximum number of tokens of a compared prompt; many encoders read no more."""


@dataclass(frozen=True, slots=True)
class MergeDifferences:
    """Differences between the outputs of a merged model and those before."""

    merging: float
    """Largest difference in 32 bits, as a share of the largest output."""
    cast: float
    """Largest difference between two logits that the cast to the base's precision makes."""

    def round(self) -> dict[str, float]:
        """Return both with three significant digits, for merge.json."""
        return {
            "largest_difference": float(f"{self.merging:.3g}"),
            "largest_cast_difference": float(f"{self.cast:.3g}"),
        }


Prompt = list[int] | Pair
"""Token ids of a prompt; source and target for a sequence-to-sequence model."""


def encode_prompts(
    tokenizer: ChatTokenizer, rows: Iterable[Record], number: int, with_targets: bool = False
) -> Sequence[Prompt]:
    """Return the token ids of `number` prompts, sampled evenly from the records.

    Plain text has no prompt, so the text itself is taken. `with_targets` adds the targets that a
    sequence-to-sequence model needs. Raise UserError if there are no records to take them from.
    """
    rows = list(rows)
    if number and not rows:
        raise UserError(
            "the validation split has no prompts to compare the logits of; raise "
            "prepare.split.validation in params.yaml, or set merge.parity to layers"
        )
    sample = records.sample_evenly(rows, number)
    if with_targets:
        return [seq2seq.encode_pair(tokenizer, record, MAX_PROMPT_TOKENS) for record in sample]
    return [
        tokenizer.encode_input(record, MAX_PROMPT_TOKENS)[0]
        if record.prompt
        else tokenizer.encode_example(record, MAX_PROMPT_TOKENS).input_ids
        for record in sample
    ]


def merge_adapter(
    base: Any, adapter: Path, prompts: Sequence[Prompt], tolerance: float, whole: bool | None = None
) -> tuple[Any, MergeDifferences]:
    """Return the merged model in the precision of the base, and how much its outputs changed.

    The weights are merged in 32 bits. If the whole model fits into memory in 32 bits, the logits
    of the prompts are compared there, otherwise the outputs of each adapted layer; `whole`
    chooses one of both. A soft prompt has no weights to merge; it is attached to the base
    instead. Raise UserError if the difference exceeds `tolerance`.
    """
    import torch.distributed.tensor  # PEFT uses it without importing it

    lean_imports.leave_out_bitsandbytes()
    from peft import PeftModel

    dtypes = {name: tensor.dtype for name, tensor in _iterate_tensors(base)}
    if whole is None:
        whole = placement.fits_in_float32(base)
    if whole:
        base.float()
    adapted = PeftModel.from_pretrained(base, adapter).eval()
    expected = compute_logits(adapted, prompts)
    difference = 0.0 if whole else _merge_layers(adapted, prompts[0])
    if adapted.active_peft_config.is_prompt_learning:
        tensors = soft_prompt.extract_soft_prompt(adapted)
        merged = adapted.get_base_model()
        soft_prompt.attach_soft_prompt(merged, tensors)
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All adapters are already merged")
            _unwrap_saved_modules(adapted)
            merged = adapted.merge_and_unload(safe_merge=True)
    if whole:
        logits = compute_logits(merged, prompts)
        difference = compute_relative_difference(expected, logits)
        expected = logits
    check_difference(difference, tolerance)
    _cast(merged, dtypes)
    is_cast = set(dtypes.values()) != {torch.float32}
    logits = compute_logits(merged, prompts) if is_cast else expected
    return merged, MergeDifferences(difference, compute_largest_difference(expected, logits))


def check_difference(difference: float, tolerance: float) -> None:
    """Raise UserError if merged outputs differ by more than the tolerance, or by NaN."""
    if not difference <= tolerance:
        raise UserError(
            f"merged outputs differ by {difference:.3g} of the largest one from base plus adapter, "
            f"more than merge.tolerance {tolerance}; train with another strategy"
        )


def compute_cast_difference(
    trained: Path, cast: Path, prompts: Sequence[Prompt], attention: str, devices: placement.Devices
) -> float:
    """Return the largest difference between two logits of trained weights and of cast ones.

    Training keeps its weights in 32 bits; the cast ones have the base's precision.
    """
    model = loading.load_model(trained, "auto", attention, devices)
    expected, dtype = compute_logits(model, prompts), model.dtype
    del model  # before other weights are loaded
    model = loading.load_model(cast, "auto", attention, devices)
    if model.dtype == dtype:
        return 0.0
    return compute_largest_difference(expected, compute_logits(model, prompts))


def check_files(model: Any, folder: Path) -> None:
    """Raise RuntimeError if the weight files in a folder are not those of a merged model.

    A GPU may round another last bit than the CPU that wrote the files.
    """
    import torch
    from safetensors import safe_open
    from transformers.core_model_loading import revert_weight_conversion
    from transformers.modeling_utils import remove_tied_weights_from_state_dict

    state = remove_tied_weights_from_state_dict(model.state_dict(), model)
    expected: dict[str, Any] = revert_weight_conversion(model, state)
    names = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (a safetensors file cannot be iterated)
                tensor, other = file.get_tensor(name), expected[name].cpu()
                names.add(name)
                if torch.equal(tensor, other):
                    continue
                difference = compute_relative_difference([other.float()], [tensor.float()])
                if model.device.type == "cpu" or not difference <= torch.finfo(other.dtype).eps:
                    raise RuntimeError(f"{path}: {name} differs by {difference} from the model's")
    if missing := set(expected) - names - set(model._keys_to_ignore_on_save or ()):
        raise RuntimeError(f"{folder}: lacks {min(missing)}")


def _unwrap_saved_modules(adapted: Any) -> None:
    """Replace the base's layers that were trained whole by the trained ones.

    PEFT does so for LoRA; its (IA)³ and PEANuT fail on RoBERTa's head, which has two layers.
    """
    from peft.utils import ModulesToSaveWrapper

    for name, module in list(adapted.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            adapted.set_submodule(name, module.modules_to_save[module.active_adapter])


def compute_logits(model: Any, prompts: Sequence[Prompt]) -> list[Any]:
    """Return the logits of each prompt as a float32 tensor on the CPU.

    The shape is (tokens, vocabulary), or (outputs,) for a model with a head. The tokens are those
    of the prompt, without the positions of a soft prompt, or those of the target.
    """
    import torch

    all_logits = []
    for prompt in prompts:
        if isinstance(prompt, Pair):
            ids, tokens = prompt.source, prompt.target
            labels = torch.tensor([tokens], device=model.device)
            decoder_inputs = {"decoder_input_ids": seq2seq.shift_right(model, labels)}
        else:
            ids, tokens, decoder_inputs = prompt, prompt, {}
        with torch.inference_mode():
            logits = model(
                input_ids=torch.tensor([ids], device=model.device), **decoder_inputs
            ).logits[0]
        if logits.ndim > 1:
            logits = logits[-len(tokens) :]
        all_logits.append(logits.float().cpu())
    return all_logits


def compute_largest_difference(tensors: list[Any], other_tensors: list[Any]) -> float:
    """Return the largest absolute difference between two lists of tensors; NaN if one has NaN."""
    import torch

    pairs = zip(tensors, other_tensors, strict=True)
    return float(torch.stack([(a - b).abs().max() for a, b in pairs]).max())


def compute_relative_difference(expected: list[Any], actual: list[Any]) -> float:
    """Return the largest absolute difference as a share of the largest absolute expected value."""
    difference = compute_largest_difference(expected, actual)
    return difference / max(float(tensor.abs().max()) for tensor in expected) if difference else 0.0


def _merge_layers(adapted: Any, prompt: Prompt) -> float:
    """Merge one adapted layer after the other in 32 bits, and return the largest difference.

    The outputs for the layer's own input on a prompt are compared. A layer that the prompt does
    not reach, such as an expert that it is not routed to, is merged without a comparison.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch.utils._pytree import tree_map_only

    adapters: list[Any] = [m for m in adapted.modules() if isinstance(m, BaseTunerLayer)]
    inner = {id(part) for layer in adapters for part in layer.modules() if part is not layer}
    layers: list[Any] = [layer for layer in adapters if id(layer) not in inner]
    inputs: dict[int, Any] = {}

    def remember(layer: Any, args: Any, options: Any, output: Any) -> None:
        inputs[id(layer)] = (args, options)

    handles = [layer.register_forward_hook(remember, with_kwargs=True) for layer in layers]
    compute_logits(adapted, [prompt])
    for handle in handles:
        handle.remove()
    difference = 0.0
    for layer in layers:
        dtypes = {name: tensor.dtype for name, tensor in _iterate_tensors(layer)}
        layer.float()
        to_float = tree_map_only(
            torch.Tensor,
            lambda t: t.float() if t.is_floating_point() else t,
            inputs.pop(id(layer), None),
        )
        expected = _compute_output(layer, to_float)
        for part in [m for m in layer.modules() if isinstance(m, BaseTunerLayer)]:
            part.merge(safe_merge=True)
        if expected is not None:
            pair = [expected], [_compute_output(layer, to_float)]
            difference = max(difference, compute_relative_difference(*pair))
        _cast(layer, dtypes)
    return difference


def _compute_output(layer: Any, inputs: Any) -> Any:
    """Return the output of a layer for its positional and named arguments; None without them."""
    import torch

    if inputs is None:
        return None
    with torch.inference_mode():
        output = layer(*inputs[0], **inputs[1])
    return output[0] if isinstance(output, tuple) else output


def _iterate_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and tensor of all parameters and buffers."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _cast(model: Any, dtypes: dict[str, Any]) -> None:
    """Give each parameter and buffer, and the soft prompt, its former precision."""
    for name, tensor in _iterate_tensors(model):
        tensor.data = tensor.data.to(dtypes[name])
    soft = getattr(model, "soft_prompt", None) or {}
    for name, tensor in soft.items():
        soft[name] = tensor.to(next(iter(dtypes.values())))
