"""Compute the likelihood of answers with llama.cpp.

llama.cpp reports the log-probability of a token that it generates, over the whole vocabulary and
before any sampling setting. A large bias makes it generate the token of the answer, one token per
request, so the log-probabilities are exactly those by which the runtime decodes.
"""

import math
from collections.abc import Sequence
from typing import Any

from lockstep import progress
from lockstep.inference.likelihood import AnswerLoss
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.models.chat import IGNORE_INDEX, Example

BIAS = 1e6
"""Addend of a token's logit that makes llama.cpp generate it."""

SMALL_BIAS = 256.0
"""Addend of the logits of two tokens that are compared: their sums are rounded to 32 bits, so it is
only as large as other tokens need it to be to have no probability."""

MARGIN = 20.0
"""Logits by which one of two tokens leads, so that the other is not sampled."""

SMALLEST_LOG_PROBABILITY = -149 * math.log(2)
"""Logarithm of the smallest 32-bit number above zero: llama.cpp computes probabilities in it."""


def score_token(
    runtime: LlamaCpp, prefix: list[int], token: int, end_id: int
) -> tuple[float, bool]:
    """Return the log-probability of a token after a prefix, and whether it is the most likely one.

    The request uses the keys and values of the previous request as far as the prefixes agree.
    llama.cpp reports nothing about a token whose text ends within a UTF-8 character; the token is
    then compared with `end_id`.
    """
    bias = [[token, BIAS]]
    reply = _request_token(runtime, prefix, n_probs=1, logit_bias=bias, **GREEDY)
    if reply is None:
        return _compare_token(runtime, prefix, token, end_id)
    score = max(reply["logprob"], SMALLEST_LOG_PROBABILITY)
    return score, reply["top_logprobs"][0]["id"] == token


def _compare_token(
    runtime: LlamaCpp, prefix: list[int], token: int, end_id: int
) -> tuple[float, bool]:
    """Return what `score_token` returns from the log-probability of `end_id`.

    Among the two tokens alone, the ratio of the probabilities is that of the whole vocabulary. The
    bias of `end_id` makes sure that it is sampled.
    """
    bias = [[end_id, BIAS]]
    reply = _request_token(runtime, prefix, n_probs=1, logit_bias=bias, **GREEDY)
    best, end_score = reply["top_logprobs"][0], reply["logprob"]
    if best["id"] == token:
        return best["logprob"], True
    lead = best["logprob"] - end_score + MARGIN
    options = GREEDY | {"temperature": 1.0, "n_probs": 2, "post_sampling_probs": True}
    bias = [[token, SMALL_BIAS], [end_id, SMALL_BIAS + lead]]
    reply = _request_token(runtime, prefix, logit_bias=bias, **options)
    probabilities = {option["id"]: option["prob"] for option in reply["top_probs"]}
    ratio = probabilities.get(token, 0.0) / probabilities[end_id]
    score = end_score + lead + math.log(ratio) if ratio else -math.inf
    return max(score, SMALLEST_LOG_PROBABILITY), False


def _request_token(runtime: LlamaCpp, prefix: list[int], **options: Any) -> Any:
    """Return what llama.cpp reports about the probabilities of one token that it generates."""
    reply = runtime.complete(prefix, 1, cache_prompt=True, **options)
    (report,) = reply.get("completion_probabilities") or [None]
    return report


def score_answer(
    runtime: LlamaCpp, prompt: list[int], answer: list[int], end_id: int
) -> list[tuple[float, bool]]:
    """Return for each token of an answer what `score_token` returns."""
    runtime.read(prompt)
    return [
        score_token(runtime, prompt + answer[:place], token, end_id)
        for place, token in enumerate(answer)
    ]


def score_choices(
    runtime: LlamaCpp, prompts: Sequence[list[int]], choices: Sequence[list[int]], end_id: int
) -> list[list[float]]:
    """Return log p(choice | prompt) in nats, summed over the choice's tokens: [prompt][choice].

    A beginning that several choices share is scored once.
    """
    scores = []
    for prompt in prompts:
        runtime.read(prompt)
        totals: dict[tuple[int, ...], float] = {(): 0.0}
        for choice in choices:
            for place, token in enumerate(choice):
                beginning, longer = tuple(choice[:place]), tuple(choice[: place + 1])
                if longer not in totals:
                    score, _ = score_token(runtime, prompt + choice[:place], token, end_id)
                    totals[longer] = totals[beginning] + score
        scores.append([totals[tuple(choice)] for choice in choices])
        progress.advance(1)
    return scores


def compute_answer_losses(
    runtime: LlamaCpp, examples: Sequence[Example], end_id: int
) -> list[AnswerLoss]:
    """Return the loss of each example's answer, including the token that ends its turn."""
    losses = []
    for example in examples:
        places = [
            place for place, label in enumerate(example.labels) if place and label != IGNORE_INDEX
        ]
        start, end = (places[0], places[-1] + 1) if places else (1, 1)
        ids = example.input_ids
        scores = score_answer(runtime, ids[:start], ids[start:end], end_id)
        losses.append((-sum(scores[place - start][0] for place in places), example.answer_tokens))
        progress.advance(1)
    return losses
