"""Our speed as ratios, each pair measured in one run on the same records and model.

Needs the outputs of `make`. Seconds depend on the machine; the ratios are what to compare.
"""

import itertools
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from stages import chat, cli, compute, models, params, records
from stages.evaluate import Evaluate
from stages.learning import rows, supervised
from stages.params import Section, Seed
from stages.scoring import generation, harness, likelihood

RECORDS = 100
BATCHES = 40


class Params(Section):
    seed: Seed
    compute: compute.Compute
    train: supervised.Train
    evaluate: Evaluate


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


def training_batches(model: Any, tokenizer: Any, chosen: Params, scratch: Path) -> tuple[Any, Any]:
    """A trainer of the pipeline, and the first batches that it would see."""
    learnt = rows.weighted(records.read(Path("data/augmented/train.jsonl")))
    limits = chosen.train.max_length, chosen.train.max_dropped_fraction
    examples = rows.render(tokenizer, learnt, *limits).examples
    device = compute.device()
    trainer = supervised.trainer(
        model, tokenizer, examples, examples, chosen.train, chosen.seed, device, scratch
    )
    return trainer, list(itertools.islice(trainer.get_train_dataloader(), BATCHES))


def gradients(trainer: Any, compute_loss: Callable[..., Any], batches: list[Any]) -> None:
    """Forward and backward passes, without the optimizer."""
    for batch in batches:
        with trainer.compute_loss_context_manager():
            loss = compute_loss(trainer.model, dict(batch))
        loss.backward()
        trainer.model.zero_grad()


@click.command(help=__doc__)
def main() -> None:
    from trl import SFTTrainer

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

    with tempfile.TemporaryDirectory() as scratch:
        base = models.load(Path("data/base"), "float32", chosen.compute.attention, compute.device())
        trainer, batches = training_batches(base, tokenizer, chosen, Path(scratch))

    pairs = {
        "training against TRL": (
            lambda: gradients(trainer, trainer.compute_loss, batches),
            lambda: gradients(trainer, partial(SFTTrainer.compute_loss, trainer), batches),
        ),
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
