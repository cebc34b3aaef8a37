"""How likely a model finds given answers: perplexity, and the choice among labels."""

import math
from collections.abc import Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.inference.batching import by_length, padded
from lockstep.models.chat import IGNORED, Example

MOST = 700.0
"""Nats; the exponential of a little more is no floating-point number."""

Loss = tuple[float, int]
"""Negative log-likelihood of an answer, in nats, summed over its tokens; and their number."""


def answer_losses(model: Any, examples: Sequence[Example], batch_size: int) -> list[Loss]:
    """The loss of each example's answer, its end of turn included."""
    import torch
    import torch.nn.functional as F

    losses = [0.0] * len(examples)
    for batch in by_length([len(e.input_ids) for e in examples], batch_size):
        ids, mask = padded([examples[i].input_ids for i in batch], fill=0)
        labels, _ = padded([examples[i].labels for i in batch], fill=IGNORED)
        with torch.inference_mode():
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device)
            ).logits
            token_losses = F.cross_entropy(
                logits[:, :-1].float().transpose(1, 2),
                labels[:, 1:].to(model.device),
                ignore_index=IGNORED,
                reduction="none",
            )
        for i, loss in zip(batch, token_losses.sum(dim=1).tolist(), strict=True):
            losses[i] = loss
    return [(loss, e.answer_tokens) for loss, e in zip(losses, examples, strict=True)]


def perplexity(losses: Sequence[Loss]) -> float:
    """exp of the mean loss of an answer token; UserError where there is none, or no such number."""
    tokens = sum(count for _, count in losses)
    if not tokens:
        raise UserError("no record has an answer left to score; raise max_length in params.yaml")
    mean = sum(loss for loss, _ in losses) / tokens
    if not mean < MOST:
        raise UserError(f"the mean loss of an answer token is {mean:.3g}: the model is of no use")
    return math.exp(mean)


def choice_scores(
    model: Any, prompts: Sequence[list[int]], choices: Sequence[list[int]], batch_size: int
) -> list[list[float]]:
    """log p(choice | prompt), in nats, summed over the choice's tokens: [prompt][choice].

    Each prompt is computed once; its keys and values are shared by all choices.
    """
    import torch

    scores: list[list[float]] = [[] for _ in prompts]
    tokens, counted = (part.to(model.device) for part in padded(choices, fill=0))
    width = tokens.shape[1]
    for batch in by_length([len(prompt) for prompt in prompts], batch_size):
        ids, mask = (
            part.to(model.device) for part in padded([prompts[i] for i in batch], 0, left=True)
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
