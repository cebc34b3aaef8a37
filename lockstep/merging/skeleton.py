"""Models without weights, into which adapters are loaded before any weight of the base is."""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.merging import adapter_folder, base_weights
from lockstep.models import lean_imports, loading
from lockstep.models.heads import Head
from lockstep.models.loading import Dtype


def load_meta_model(folder: Path, dtype: Dtype, attention: str, head: Head | None) -> Any:
    """Load a model's structure, precisions and names, with all tensors on the meta device.

    All checks of loading are made; of the weight files only the headers are read, and parameters
    that they hold twice because they are tied.
    """
    model = loading.load_model(folder, dtype, attention, "meta", head=head)
    base_weights.tie_equal_parameters(model, folder)
    return model


def fill_with_placeholders(model: Any) -> Any:
    """Replace meta tensors by zeros on the CPU that take no memory; return a copy of the model.

    PEFT moves an adapter to the device of its layer, so that device must not be meta.
    """
    import torch

    filled = copy.deepcopy(model)
    placeholders: dict[int, Any] = {}  # tied layers stay tied
    for module in filled.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in placeholders:
                    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
                    zeros = torch.zeros((), dtype=dtype).expand(tensor.shape)
                    if isinstance(tensor, torch.nn.Parameter):
                        zeros = torch.nn.Parameter(zeros, requires_grad=False)
                    placeholders[id(tensor)] = zeros
                tensors[name] = placeholders[id(tensor)]
    return filled


def attach_adapters(model: Any, adapters: Mapping[str, Path], base: Path) -> Any:
    """Return a PEFT model in evaluation mode with the adapters by name; the first is active.

    Of several adapters the tasks are left out, since PEFT would ask each for a head of the first.
    Raise UserError if an adapter does not fit the model, such as one of another base.
    """
    import torch.distributed.tensor  # noqa: F401 (PEFT uses it without importing it)

    lean_imports.leave_out_bitsandbytes()
    from peft import PeftConfig, PeftModel

    adapted: Any = None
    options: dict[str, Any] = {"low_cpu_mem_usage": True, "torch_device": "cpu"}
    for name, folder in adapters.items():
        adapter_folder.check_folder(folder)
        adapter_folder.check_recorded_base(folder, base)
        with _report_misfit(folder, base):
            if adapted is None:
                config = PeftConfig.from_pretrained(str(folder))
                config.task_type = None if len(adapters) > 1 else config.task_type
                adapted = PeftModel.from_pretrained(model, folder, name, config=config, **options)
            loaded = adapted.load_adapter(folder, name, **options)  # PEFT returns no names before
        _check_names(loaded, adapted.peft_config[name], folder, base)
    return adapted.eval()


@contextmanager
def _report_misfit(folder: Path, base: Path) -> Iterator[None]:
    """Turn PEFT's errors for an adapter that does not fit into a UserError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found missing adapter keys")
            yield
    except (
        AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{folder}: does not fit {base} ({reason}); "
            f"{adapter_folder.describe_bases(folder, base)}"
        ) from None


def _check_names(loaded: Any, config: Any, folder: Path, base: Path) -> None:
    """Raise UserError if the file lacks tensors of the adapter, or has some for other layers.

    PEFT ignores the tensors of layers that the base does not have.
    """
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    if loaded.missing_keys:
        raise UserError(
            f"{folder}: lacks {loaded.missing_keys[0]} and so does not agree with its "
            f"{adapter_folder.CONFIG}; copy it again"
        )
    prefix = PEFT_TYPE_TO_PREFIX_MAPPING.get(config.peft_type)
    surplus = [name for name in loaded.unexpected_keys if prefix and prefix in name]
    if surplus and not config.is_prompt_learning:
        raise UserError(
            f"{folder}: adapts layers that {base} does not have, such as {surplus[0]}; "
            f"{adapter_folder.describe_bases(folder, base)}"
        )
