"""Compute the outputs of a model with a head, and format them as answers."""

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.models.heads import Head


def compute_outputs(
    model: Any, inputs: Sequence[list[int]], fill: int, batch_size: int
) -> list[list[float]]:
    """Return the head's outputs for each row of token ids; `fill` is the id of the padding."""
    import torch

    outputs: list[list[float]] = [[] for _ in inputs]
    for batch in batch_by_length([len(row) for row in inputs], batch_size):
        ids, mask = pad_rows([inputs[i] for i in batch], fill)
        with torch.inference_mode():
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device)
            ).logits
        for i, row in zip(batch, logits.float().tolist(), strict=True):
            outputs[i] = row
    return outputs


def compute_mean_change(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]
) -> float:
    """Return the mean absolute difference between the outputs of two models on the same inputs."""
    rows = zip(before, after, strict=True)
    return fmean(abs(a - b) for row, other in rows for a, b in zip(row, other, strict=True))


def format_answer(head: Head, outputs: Sequence[float]) -> str:
    """Return the outputs for one input as an answer in the format of the data.

    This is the label with the largest output, a JSON list of all labels with a positive output
    (a probability above one half), or the number of a regression.
    """
    if head.problem == "regression":
        return f"{outputs[0]:.6g}"
    if head.problem == "multi_label_classification":
        labels = [label for label, output in zip(head.labels, outputs, strict=True) if output > 0]
        return json.dumps(labels, ensure_ascii=False)
    return head.labels[max(range(len(outputs)), key=outputs.__getitem__)]
