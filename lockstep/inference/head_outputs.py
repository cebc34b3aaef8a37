"""What a model that ends in numbers says of each input: labels, a number, a reward."""

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.models.model_io import Head


def compute_outputs(
    model: Any, inputs: Sequence[list[int]], fill: int, batch_size: int
) -> list[list[float]]:
    """The numbers that the model ends in, for each row of token ids; `fill` is the padding."""
    import torch

    found: list[list[float]] = [[] for _ in inputs]
    for batch in batch_by_length([len(row) for row in inputs], batch_size):
        ids, mask = pad_rows([inputs[i] for i in batch], fill)
        with torch.inference_mode():
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device)
            ).logits
        for i, row in zip(batch, logits.float().tolist(), strict=True):
            found[i] = row
    return found


def mean_absolute_change(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]
) -> float:
    """By how much an output of the model differs on average between two variants."""
    pairs = zip(before, after, strict=True)
    return fmean(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))


def format_answer(head: Head, numbers: Sequence[float]) -> str:
    """The numbers as an answer is written in the data: the likeliest label, those likelier than
    not as a JSON list, or the number."""
    if head.problem == "regression":
        return f"{numbers[0]:.6g}"
    if head.problem == "multi_label_classification":
        chosen = [label for label, number in zip(head.labels, numbers, strict=True) if number > 0]
        return json.dumps(chosen, ensure_ascii=False)
    return head.labels[max(range(len(numbers)), key=numbers.__getitem__)]
