"""Compute the likelihood of answers under a sequence-to-sequence model."""

from collections.abc import Sequence
from typing import Any

from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.inference.likelihood import AnswerLoss
from lockstep.models.chat import IGNORE_INDEX
from lockstep.models.seq2seq import Pair, shift_right


def build_inputs(model: Any, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return a batch of the model's inputs and labels, padded on the right."""
    ids, mask = pad_rows([pair.source for pair in pairs], fill=0)
    labels, _ = pad_rows([pair.target for pair in pairs], fill=IGNORE_INDEX)
    decoder_ids = shift_right(model, labels)
    return {
        "input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder_ids, "labels": labels
    }  # fmt: skip


def compute_target_losses(model: Any, inputs: dict[str, Any], smoothing: float = 0.0) -> Any:
    """Return the loss of each target token in nats, as a tensor (rows, tokens); 0 for padding.

    `smoothing` is the probability that the target spreads over the whole vocabulary (Szegedy et
    al., 2016).
    """
    from torch.nn import functional

    labels = inputs["labels"]
    model_inputs = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**model_inputs, use_cache=False).logits
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1),
        labels.flatten(),
        ignore_index=IGNORE_INDEX,
        reduction="none",
        label_smoothing=smoothing,
    )
    return losses.view(labels.shape)


def compute_answer_losses(model: Any, pairs: Sequence[Pair], batch_size: int) -> list[AnswerLoss]:
    """Return the loss of each target, including the token that ends it."""
    import torch

    losses = [0.0] * len(pairs)
    lengths = [len(pair.source) + len(pair.target) for pair in pairs]
    for batch in batch_by_length(lengths, batch_size):
        inputs = build_inputs(model, [pairs[i] for i in batch])
        with torch.inference_mode():
            token_losses = compute_target_losses(
                model, {name: tensor.to(model.device) for name, tensor in inputs.items()}
            )
        for i, loss in zip(batch, token_losses.sum(dim=1).tolist(), strict=True):
            losses[i] = loss
    return [(loss, len(pair.target)) for loss, pair in zip(losses, pairs, strict=True)]


def score_choices(
    model: Any, sources: Sequence[list[int]], choices: Sequence[list[int]], batch_size: int
) -> list[list[float]]:
    """Return log p(choice | source) in nats, summed over the choice's tokens: [source][choice].

    Each source passes through the encoder once. Choices of equal length pass through the decoder
    together, so none of them is padded.
    """
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    scores = [[0.0] * len(choices) for _ in sources]
    by_length: dict[int, list[int]] = {}
    for number, choice in enumerate(choices):
        by_length.setdefault(len(choice), []).append(number)
    for batch in batch_by_length([len(source) for source in sources], batch_size):
        ids, mask = (part.to(model.device) for part in pad_rows([sources[i] for i in batch], 0))
        with torch.inference_mode():
            states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            for numbers in by_length.values():
                labels = torch.tensor([choices[n] for n in numbers], device=model.device)
                labels = labels.repeat(len(batch), 1)
                logits = model(
                    encoder_outputs=BaseModelOutput(states.repeat_interleave(len(numbers), dim=0)),
                    attention_mask=mask.repeat_interleave(len(numbers), dim=0),
                    decoder_input_ids=shift_right(model, labels),
                ).logits
                log_probabilities = logits.float().log_softmax(-1)
                totals = log_probabilities.gather(2, labels.unsqueeze(2)).sum((1, 2))
                for i, row in zip(batch, totals.view(len(batch), -1).tolist(), strict=True):
                    for number, total in zip(numbers, row, strict=True):
                        scores[i][number] = total
    return scores
