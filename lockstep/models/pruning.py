"""Set the smallest weights of the linear layers to zero (magnitude pruning)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models import loading, placement, saving, weight_check
from lockstep.models.quantization import QuantizeParams, WrittenForm

GROUP = 4
"""Number of inputs of a group of the pattern 2:4, of which half are zero."""


def write_pruned_model(
    merged: Path, out: Path, settings: QuantizeParams, attention: str, max_shard_gb: float
) -> WrittenForm:
    """Write the merged model with zeros in its own precision, which everything can load."""
    import torch

    weight_check.check_space(out, saving.count_weight_bytes(merged))
    model = loading.load_model(merged, "auto", attention, placement.choose_devices(merged))
    matrices = list(iterate_matrices(model))
    if not matrices:
        raise UserError(f"{merged}: the model has no linear layers to prune; use another method")
    with torch.no_grad():
        for module, name, label in matrices:
            prune_matrix(module, name, label, settings)
    saving.save_model(model, out, max_shard_gb)
    pruned = [getattr(module, name) for module, name, _ in matrices]
    zeros = sum(int((weight == 0).sum()) for weight in pruned)
    share = zeros / sum(weight.numel() for weight in pruned)
    return WrittenForm(
        f"{share:.0%} of the weights of {len(matrices)} layers are zero ({settings.pattern})",
        {
            "pattern": settings.pattern,
            "pruned_layers": len(matrices),
            "zero_share": round(share, 4),
            "zero_share_of_all": round(zeros / model.num_parameters(), 4),
        },
    )


def iterate_matrices(model: Any) -> Iterator[tuple[Any, str, str]]:
    """Yield (module, name of its parameter, full name) of each matrix that is pruned.

    These are the linear layers of the transformer blocks, and fused experts. Embeddings, the output
    layer and the routers of experts stay as they are.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    for blocks in loading.find_block_lists(model):
        for path, module in blocks.named_modules():
            if isinstance(module, torch.nn.Linear | Conv1D):
                yield module, "weight", f"{path}.weight"
            elif path.endswith(".experts"):
                for name, parameter in module.named_parameters(recurse=False):
                    if parameter.ndim == 3:
                        yield module, name, f"{path}.{name}"


def prune_matrix(module: Any, name: str, label: str, settings: QuantizeParams) -> None:
    """Set the weights of a matrix with the smallest magnitude to zero.

    The pattern 2:4 takes them from every four consecutive inputs of an output. `label` names the
    matrix in errors.
    """
    from torch.nn.utils import prune
    from transformers.pytorch_utils import Conv1D

    if settings.pattern == "unstructured":
        prune.l1_unstructured(module, name, amount=settings.sparsity)
        prune.remove(module, name)
        return
    weight = getattr(module, name)
    by_output = weight.T if isinstance(module, Conv1D) else weight
    if by_output.shape[-1] % GROUP:
        raise UserError(
            f"params.yaml: quantize.pattern: {label} has {by_output.shape[-1]} inputs, not a "
            f"multiple of {GROUP}; set it to unstructured"
        )
    groups = by_output.reshape(-1, GROUP)
    smallest = groups.abs().argsort(dim=1, stable=True)[:, : GROUP // 2]
    pruned = groups.scatter(1, smallest, 0.0).reshape(by_output.shape)
    weight.copy_(pruned.T if isinstance(module, Conv1D) else pruned)
