"""Our speed as ratios, each pair measured in one run on the same records and model.

Needs the outputs of `make`. Seconds depend on the machine; the ratios are what to compare.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stages import chat, cli, compute, models, params, records
from stages.params import Section, Seed
from stages.scoring import generation, harness, likelihood
from stages.scoring.settings import Asked

RECORDS = 100


class Params(Section):
    seed: Seed
    compute: compute.Compute
    evaluate: Asked


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a second call: the first one warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def one_by_one(model: Any, tokenizer: Any, prompts: list[list[int]], tokens: int) -> None:
    """The plain loop that most scripts use."""
    for prompt in prompts:
        generation.answers(model, tokenizer, [prompt], 1, tokens)


@click.command(help=__doc__)
def main() -> None:
    chosen = params.read(Params)
    compute.set_up(chosen.compute, chosen.seed)
    folder, settings = Path("data/merged"), chosen.evaluate
    tokenizer = models.load_tokenizer(folder)
    model = models.load(folder, "auto", chosen.compute.attention, compute.device())
    test = list(records.read(Path("data/prepared/test.jsonl")))
    task, labels = next(iter(json.loads(Path("data/prepared/labels.json").read_text()).items()))
    choice_rows = [row for row in test if row.task == task][:RECORDS]
    prompts = [chat.prompt_ids(tokenizer, row.prompt) for row in choice_rows]
    choices = [chat.answer_ids(tokenizer, label) for label in labels]
    written = [chat.prompt_ids(tokenizer, row.prompt) for row in test if row.task != task][:RECORDS]
    size, tokens = settings.batch_size, settings.max_new_tokens

    pairs = {
        "choices against lm-eval": (
            lambda: likelihood.choice_scores(model, prompts, choices, size),
            lambda: harness.accuracy(model, tokenizer, choice_rows, labels, size),
        ),
        "generation against one by one": (
            lambda: generation.answers(model, tokenizer, written, size, tokens),
            lambda: one_by_one(model, tokenizer, written, tokens),
        ),
    }
    for name, (ours, theirs) in pairs.items():
        mine, other = seconds(ours), seconds(theirs)
        click.echo(f"{name:32} {mine:6.2f} s  {other:6.2f} s  {other / mine:5.1f} times faster")


if __name__ == "__main__":
    cli.run(main)
