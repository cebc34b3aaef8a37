"""Check before the first step that a model keeps packed rows apart. Imports torch."""

import math
from typing import Any

import torch
from datasets import Dataset

from lockstep.errors import UserError
from lockstep.training.training_plan import Plan

TOLERANCES = {torch.float32: 1e-3}
"""Largest accepted difference of logits as a share of the largest, by precision of the weights."""

LOW_PRECISION_TOLERANCE = 0.05
"""Tolerance for 16 bits, whose rounding depends on the length of the sequence."""


def check_packing(trainer: Any, plan: Plan) -> None:
    """Raise UserError if a model gives packed rows other logits than each row alone.

    Architectures whose attention mask is made without the positions of the rows let the second
    row see the first; models with a state between tokens carry it over or raise an error. The two
    shortest training rows are packed and collated as the trainer does it.
    """
    rows = sorted(plan.train_rows.rows, key=lambda row: row.tokens)[:2]
    packed = plan.pack(Dataset.from_list([row.values for row in rows]))
    model = trainer.accelerator.unwrap_model(trainer.model)
    is_divided = any(hasattr(parameter, "ds_numel") for parameter in model.parameters())
    if len(rows) < 2 or len(packed) > 1 or is_divided:  # DeepSpeed's ZeRO-3 must start first
        return
    was_training = model.training
    model.eval()
    try:
        difference = _measure_difference(model, trainer.data_collator([packed[0]]))
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = f"raises {type(error).__name__} on packed rows: {' '.join(str(error).split())}"
        raise _build_error(model, reason[:300]) from None
    finally:
        model.train(was_training)
    if not difference <= TOLERANCES.get(model.dtype, LOW_PRECISION_TOLERANCE):
        raise _build_error(
            model,
            f"lets packed rows see each other (logits differ by {difference:.2g} of the largest)",
        )


def _measure_difference(model: Any, batch: dict[str, Any]) -> float:
    """Return the largest difference between the logits of packed rows and of each row alone."""
    inputs = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "labels"
    }
    starts = (inputs["position_ids"][0] == 0).nonzero().flatten().tolist()
    ids = inputs["input_ids"]
    with torch.no_grad():
        logits = model(**inputs, use_cache=False).logits[0].float()
        difference, largest = 0.0, 0.0
        for start, end in zip(starts, [*starts[1:], ids.shape[1]], strict=True):
            alone = model(input_ids=ids[:, start:end], use_cache=False).logits[0].float()
            difference = max(difference, float((logits[start:end] - alone).abs().max()))
            largest = max(largest, float(alone.abs().max()))
    return difference / largest if math.isfinite(difference) else math.inf


def _build_error(model: Any, reason: str) -> UserError:
    return UserError(
        f"params.yaml: train.batching: the base's architecture {model.config.model_type} {reason}; "
        "set it to length"
    )
