"""Compute the likelihood of answers: losses, perplexity and scores of choices."""

import copy
import math
from collections.abc import Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.models.chat import IGNORE_INDEX, Example

MAX_MEAN_LOSS = 700.0
"""Largest mean loss, in nats, whose exponential is still a floating-point number."""

AnswerLoss = tuple[float, int]
"""Sum of the negative log-likelihoods of an answer's tokens, in nats, and their number."""


def compute_answer_losses(
    model: Any, examples: Sequence[Example], batch_size: int
) -> list[AnswerLoss]:
    """Return the loss of each example's answer, including the token that ends its turn."""
    import torch

    losses = [0.0] * len(examples)
    for batch in batch_by_length([len(e.input_ids) for e in examples], batch_size):
        ids, mask = pad_rows([examples[i].input_ids for i in batch], fill=0)
        labels, _ = pad_rows([examples[i].labels for i in batch], fill=IGNORE_INDEX)
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        with torch.inference_mode():
            token_losses = compute_token_losses(
                model, {name: tensor.to(model.device) for name, tensor in inputs.items()}
            )
        for i, loss in zip(batch, token_losses.sum(dim=1).tolist(), strict=True):
            losses[i] = loss
    return [(loss, e.answer_tokens) for loss, e in zip(losses, examples, strict=True)]


def compute_token_losses(model: Any, inputs: dict[str, Any], smoothing: float = 0.0) -> Any:
    """Return the loss of each answer token in nats, as a tensor (rows, positions).

    The positions are those where any row of the batch has an answer token, that is a label; the
    loss is 0 where the row itself has none. `smoothing` is the probability that the target spreads
    over the whole vocabulary (Szegedy et al., 2016).
    """
    from torch.nn import functional

    labels = inputs["labels"][:, 1:]
    positions = (labels != IGNORE_INDEX).any(dim=0).nonzero().squeeze(1)
    model_inputs = {name: value for name, value in inputs.items() if name != "labels"}
    from_end = positions - inputs["labels"].shape[1]  # a soft prompt lengthens the front
    logits = model(**model_inputs, use_cache=False, logits_to_keep=from_end).logits
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1),
        labels[:, positions].flatten(),
        ignore_index=IGNORE_INDEX,
        reduction="none",
        label_smoothing=smoothing,
    )
    return losses.view(len(labels), len(positions))


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
    """Return the exponential of the mean loss per answer token.

    Raise UserError if there is no answer token, or if the perplexity is not a finite number.
    """
    tokens = sum(count for _, count in losses)
    if not tokens:
        raise UserError("no record has an answer left to score; raise max_length in params.yaml")
    mean_loss = sum(loss for loss, _ in losses) / tokens
    if not mean_loss < MAX_MEAN_LOSS:
        raise UserError(
            f"the mean loss of an answer token is {mean_loss:.3g}: the model is unusable; "
            "check its training, or its weights if it was not trained here"
        )
    return math.exp(mean_loss)


def score_choices(
    model: Any, prompts: Sequence[list[int]], choices: Sequence[list[int]], batch_size: int
) -> list[list[float]]:
    """Return log p(choice | prompt) in nats, summed over the choice's tokens: [prompt][choice].

    Each prompt passes through the model once; all choices share its keys and values. Choices of
    equal length pass together, so none of them is padded. Models with linear attention have no
    keys and values to share, so each choice passes with its prompt.
    """
    import torch

    if not _shares_cache(model):
        return _score_separately(model, prompts, choices, batch_size)
    scores = [[0.0] * len(choices) for _ in prompts]
    by_length: dict[int, list[int]] = {}
    for number, choice in enumerate(choices):
        by_length.setdefault(len(choice), []).append(number)
    groups = [
        (numbers, torch.tensor([choices[number] for number in numbers], device=model.device))
        for numbers in by_length.values()
    ]
    for batch in batch_by_length([len(prompt) for prompt in prompts], batch_size):
        ids, mask = (
            part.to(model.device) for part in pad_rows([prompts[i] for i in batch], 0, left=True)
        )
        with torch.inference_mode():
            prompt_output = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0),
                use_cache=True,
                logits_to_keep=1,
            )
            for numbers, choice_ids in groups:
                totals = _score_equally_long(model, prompt_output, mask, choice_ids)
                for i, row in zip(batch, totals.tolist(), strict=True):
                    for number, total in zip(numbers, row, strict=True):
                        scores[i][number] = total
    return scores


def _shares_cache(model: Any) -> bool:
    """Whether the cache of a prompt can be repeated for several choices."""
    from transformers import DynamicCache

    layers = DynamicCache(config=model.config.get_text_config(decoder=True)).layers
    return all(hasattr(layer, "batch_repeat_interleave") for layer in layers)


def _score_separately(
    model: Any, prompts: Sequence[list[int]], choices: Sequence[list[int]], batch_size: int
) -> list[list[float]]:
    """Return log p(choice | prompt) in nats: [prompt][choice], without a shared cache."""
    examples = [
        Example(prompt + choice, [IGNORE_INDEX] * len(prompt) + choice)
        for prompt in prompts
        for choice in choices
    ]
    scores = [-loss for loss, _ in compute_answer_losses(model, examples, batch_size)]
    width = len(choices)
    return [scores[start : start + width] for start in range(0, len(scores), width)]


def _score_equally_long(model: Any, prompt_output: Any, mask: Any, choice_ids: Any) -> Any:
    """Return log p(choice | prompt) in nats: (prompts, choices).

    `prompt_output` is the model's output for the prompts, `mask` their attention mask (prompts,
    tokens). `choice_ids` (choices, tokens) has no padding.
    """
    import torch

    number, width = choice_ids.shape
    rows = choice_ids.repeat(len(mask), 1)
    logits = prompt_output.logits.repeat_interleave(number, dim=0)
    if width > 1:
        cache = copy.deepcopy(prompt_output.past_key_values)
        cache.batch_repeat_interleave(number)
        prompt_mask = mask.repeat_interleave(number, dim=0)
        prompt_lengths = prompt_mask.sum(1, keepdim=True)
        choice_logits = model(
            input_ids=rows[:, :-1],
            attention_mask=torch.cat([prompt_mask, torch.ones_like(rows[:, :-1])], dim=1),
            position_ids=prompt_lengths + torch.arange(width - 1, device=model.device),
            past_key_values=cache,
        ).logits
        logits = torch.cat([logits, choice_logits], dim=1)
    log_probabilities = logits.float().log_softmax(-1)
    totals = log_probabilities.gather(2, rows.unsqueeze(2)).sum((1, 2))
    return totals.view(len(mask), number)
