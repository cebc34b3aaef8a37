"""Compare the greedy answers of a GGUF file in llama.cpp with those of the merged model.

`python -m benchmarks.greedy_agreement data/merged data/quantized data/prepared/test.jsonl` prints
the share of the prompts with the same tokens, and for each other prompt the gap at the first token
that differs: by how many nats the merged model prefers its own token to that of llama.cpp. A gap
below NEAR_TIE is a near-tie, which rounding decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lockstep import params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, run
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.inference.llama_cpp_generation import generate_ids
from lockstep.models import compute, loading
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.params import Section, Seed
from lockstep.predicting.predict_params import PredictParams

NEAR_TIE = 0.01
"""Difference of two log-probabilities, in nats, that rounding to 16 bits can reverse."""


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    predict: PredictParams


@dataclass(frozen=True, slots=True)
class Divergence:
    """First token of an answer at which llama.cpp leaves the answer of the merged model."""

    prompt: int
    """Number of the prompt, from 0."""
    place: int
    """Number of the token in the answer, from 0."""
    gap: float
    """Log-probability of the merged model's token minus that of llama.cpp's token, in nats."""


def find_divergences(
    model: Any,
    runtime: LlamaCpp,
    tokenizer: ChatTokenizer,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
) -> list[Divergence]:
    """Return where the greedy answers of llama.cpp differ from those of the merged model.

    The merged model reads llama.cpp's answer in one pass: it would give the same answer if each
    token is its most likely one.
    """
    import torch

    divergences = []
    for number, prompt in enumerate(prompts):
        answer = generate_ids(runtime, prompt, max_new_tokens, tokenizer.end_ids, **GREEDY)
        ids = torch.tensor([prompt + answer], device=model.device)
        with torch.inference_mode():
            scores = model(ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
        best, best_tokens = scores.max(-1)
        for place, token in enumerate(answer):
            if best_tokens[place] != token:
                gap = float(best[place] - scores[place, token])
                divergences.append(Divergence(number, place, gap))
                break
    return divergences


@click.command(help=__doc__)
@click.argument("merged", type=IN_FOLDER)
@click.argument("quantized", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
def main(merged: Path, quantized: Path, test: Path) -> None:
    settings = params.read(Params)
    compute.set_up_torch(settings.compute, settings.seed)
    tokenizer = loading.load_tokenizer(merged)
    model = loading.load_model(merged, "auto", settings.compute.attention, compute.select_device())
    prompts = [tokenizer.encode_prompt(r.prompt, r.tools) for r in records.read(test)]
    with LlamaCpp(quantized / GGUF_FILE) as runtime:
        divergences = find_divergences(
            model, runtime, tokenizer, prompts, settings.predict.max_new_tokens
        )
    equal = len(prompts) - len(divergences)
    near_ties = sum(divergence.gap < NEAR_TIE for divergence in divergences)
    click.echo(f"{equal} of {len(prompts)} answers are equal ({equal / len(prompts):.2%})")
    click.echo(f"{near_ties} of {len(divergences)} others diverge at a near-tie")
    for divergence in divergences:
        click.echo(
            f"prompt {divergence.prompt}, token {divergence.place}: gap {divergence.gap:.4f}"
        )


if __name__ == "__main__":
    run(main)
