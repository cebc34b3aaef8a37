"""How likely a model finds given answers: perplexity, and the choice among labels."""

import math
from collections.abc import Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.models.chat import IGNORE_INDEX, Example

MOST = 700.0
"""Nats; the exponential of a little more is no floating-point number."""

AnswerLoss = tuple[float, int]
"""Negative log-likelihood of an answer, in nats, summed over its tokens; and their number."""


def compute_answer_losses(
    model: Any, examples: Sequence[Example], batch_size: int
) -> list[AnswerLoss]:
    """The loss of each example's answer, its end of turn included."""
    import torch
    import torch.nn.functional as F

    losses = [0.0] * len(examples)
    for batch in batch_by_length([len(e.input_ids) for e in examples], batch_size):
        ids, mask = pad_rows([examples[i].input_ids for i in batch], fill=0)
        labels, _ = pad_rows([examples[i].labels for i in batch], fill=IGNORE_INDEX)
        with torch.inference_mode():
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device)
            ).logits
            token_losses = F.cross_entropy(
                logits[:, :-1].float().transpose(1, 2),
                labels[:, 1:].to(model.device),
                ignore_index=IGNORE_INDEX,
                reduction="none",
            )
        for i, loss in zip(batch, token_losses.sum(dim=1).tolist(), strict=True):
            losses[i] = loss
    return [(loss, e.answer_tokens) for loss, e in zip(losses, examples, strict=True)]


def split_into_windows(example: Example, size: int) -> list[Example]:
    """Split an example that is longer than `size` tokens into overlapping windows.

    Each window begins half a window after the previous one. Its labels are the tokens that no
    earlier window scores, so every token outside the first window has at least half a window of
    context (transformers documentation, "Perplexity of fixed-length models"). Windows without
    any label are left out.
    """
    ids, labels = example.input_ids, example.labels
    if len(ids) <= size:
        return [example]
    windows, scored = [], 0
    for start in range(0, len(ids), max(1, size // 2)):
        end = min(start + size, len(ids))
        new_labels = [IGNORE_INDEX] * (scored - start) + labels[scored:end]
        windows.append(Example(ids[start:end], new_labels))
        scored = end
        if end == len(ids):
            break
    return [window for window in windows if window.answer_tokens]


def sum_window_losses(
    losses: Sequence[AnswerLoss], window_counts: Sequence[int]
) -> list[AnswerLoss]:
    """Sum the losses of consecutive windows into one loss per example.

    `window_counts` says how many of the windows belong to each example.
    """
    totals, start = [], 0
    for count in window_counts:
        part = losses[start : start + count]
        totals.append((sum(loss for loss, _ in part), sum(tokens for _, tokens in part)))
        start += count
    return totals


def compute_perplexity(losses: Sequence[AnswerLoss]) -> float:
    """exp of the mean loss of an answer token; UserError where there is none, or no such number."""
    tokens = sum(count for _, count in losses)
    if not tokens:
        raise UserError("no record has an answer left to score; raise max_length in params.yaml")
    mean = sum(loss for loss, _ in losses) / tokens
    if not mean < MOST:
        raise UserError(f"the mean loss of an answer token is {mean:.3g}: the model is of no use")
    return math.exp(mean)


def score_choices(
    model: Any, prompts: Sequence[list[int]], choices: Sequence[list[int]], batch_size: int
) -> list[list[float]]:
    """log p(choice | prompt), in nats, summed over the choice's tokens: [prompt][choice].

    Each prompt is computed once; its keys and values are shared by all choices.
    """
    import torch

    scores: list[list[float]] = [[] for _ in prompts]
    tokens, counted = (part.to(model.device) for part in pad_rows(choices, fill=0))
    width = tokens.shape[1]
    for batch in batch_by_length([len(prompt) for prompt in prompts], batch_size):
        ids, mask = (
            part.to(model.device) for part in pad_rows([prompts[i] for i in batch], 0, left=True)
        )
        with torch.inference_mode():
            first = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0),
                use_cache=True,
                logits_to_keep=1,
            )
            cache = first.past_key_values
            cache.batch_repeat_interleave(len(choices))
            rows = tokens.repeat(len(batch), 1)
            logits = first.logits.repeat_interleave(len(choices), dim=0)
            if width > 1:
                known = mask.repeat_interleave(len(choices), dim=0)
                lengths = known.sum(1, keepdim=True)
                rest = model(
                    input_ids=rows[:, :-1],
                    attention_mask=torch.cat([known, torch.ones_like(rows[:, :-1])], dim=1),
                    position_ids=lengths + torch.arange(width - 1, device=model.device),
                    past_key_values=cache,
                ).logits
                logits = torch.cat([logits, rest], dim=1)
            found = logits.float().log_softmax(-1).gather(2, rows.unsqueeze(2)).squeeze(2)
            totals = (found * counted.repeat(len(batch), 1)).sum(1).view(len(batch), -1)
        for i, row in zip(batch, totals.tolist(), strict=True):
            scores[i] = row
    return scores
