"""Read headers and tensors of the weight files of a model folder."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from lockstep.errors import report_load_errors
from lockstep.merging import weight_groups


def list_files(folder: Path) -> dict[str, Path]:
    """Return the file of each tensor of a model folder, by its name."""
    from safetensors import safe_open

    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with report_load_errors(f"{path}: the weights"), safe_open(path, framework="pt") as file:
            files |= dict.fromkeys(file.keys(), path)
    return files


def read_headers(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return all tensors of the weight files as empty ones on the meta device."""
    import torch
    from safetensors import safe_open

    tensors: dict[str, Any] = {}
    for path in dict.fromkeys(files.values()):
        with safe_open(path, framework="pt") as file:
            names: Iterable[str] = file.keys()
            shapes = {name: file.get_slice(name).get_shape() for name in names}
        tensors |= {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    return tensors


def read_parameters(
    model: Any, files: Mapping[str, Path], sources: Collection[str]
) -> dict[str, Any]:
    """Return the parameters and buffers that tensors of the files hold, on the CPU.

    `sources` are the names of the tensors. The model is on the meta device, and stays there.
    """
    from safetensors import safe_open

    slices: dict[str, Any] = {}
    for path in {files[name] for name in sources}:
        with safe_open(path, framework="pt") as file:
            names = [name for name in sources if files[name] == path]
            slices |= {name: file.get_slice(name) for name in names}
    return weight_groups.convert_tensors(model, slices, "cpu")


def tie_equal_parameters(model: Any, folder: Path) -> None:
    """Tie the parameters of a model on the meta device that transformers ties by their values.

    Some folders hold a tied parameter twice. transformers ties both when it loads a model if they
    are equal, which it cannot see on the meta device.
    """
    import torch

    tied: dict[str, str] = model.all_tied_weights_keys
    pairs = {
        target: source
        for target, source in tied.items()
        if model.get_parameter(target) is not model.get_parameter(source)
    }
    if not pairs:
        return
    files = list_files(folder)
    groups = weight_groups.group_weights(model, read_headers(files), ())
    for target, source in pairs.items():
        names = {*groups[target].sources, *groups[source].sources}
        with report_load_errors(f"{folder}: the model"):
            values = read_parameters(model, files, names)
        if torch.equal(values[target], values[source]):
            setattr(*weight_groups.find_owner(model, target), model.get_parameter(source))
        else:
            del tied[target]
