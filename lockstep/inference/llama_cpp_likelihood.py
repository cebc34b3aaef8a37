"""Compute the likelihood of answers with llama.cpp.

llama.cpp reports the log-probability of a token that it generates, over the whole vocabulary and
before any sampling setting. A large bias makes it generate the token of the answer, one token per
request, so the log-probabilities are exactly those by which the runtime decodes.
"""

import math
from collections.abc import Sequence

from lockstep import progress
from lockstep.inference.likelihood import AnswerLoss
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.models.chat import IGNORE_INDEX, Example

BIAS = 1e6
"""Bias that makes a token more likely than any other."""

WHOLE_VOCABULARY = 2**30
"""Number of most likely tokens that no vocabulary exceeds."""

SMALLEST_LOG_PROBABILITY = -149 * math.log(2)
"""Logarithm of the smallest 32-bit number above zero: llama.cpp computes probabilities in it."""


def score_token(
    runtime: LlamaCpp, prefix: list[int], token: int, end_id: int
) -> tuple[float, bool]:
    """Return the log-probability of a token after a prefix, and whether it is the most likely one.

    The request uses the keys and values of the previous request as far as the prefixes agree.
    llama.cpp reports no probability for a token whose text ends within a UTF-8 character. Then it
    generates `end_id` instead, and the token is looked up among the probabilities of all tokens.
    """
    reply = runtime.complete(
        prefix, 1, cache_prompt=True, n_probs=1, logit_bias=[[token, BIAS]], **GREEDY
    )
    (scored,) = reply.get("completion_probabilities") or [None]
    if scored is None:
        reply = runtime.complete(
            prefix,
            1,
            cache_prompt=True,
            n_probs=WHOLE_VOCABULARY,
            logit_bias=[[end_id, BIAS]],
            **GREEDY,
        )
        ranked = reply["completion_probabilities"][0]["top_logprobs"]
        scored = next(option for option in ranked if option["id"] == token)
        best = ranked[0]["id"]
    else:
        best = scored["top_logprobs"][0]["id"]
    return max(scored["logprob"], SMALLEST_LOG_PROBABILITY), best == token


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
