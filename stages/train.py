"""Tune the base model on the training records, all weights or a LoRA adapter."""

import tempfile
from pathlib import Path
from typing import Any

import click

from stages import compute, models, outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run
from stages.errors import Refusal
from stages.learning import rows, supervised
from stages.params import Section, Seed


class Params(Section):
    seed: Seed
    compute: compute.Compute
    weights: models.Weights
    train: supervised.Train


def tune(
    model: Any, tokenizer: Any, train: rows.Rows, validation: rows.Rows, chosen: Params
) -> Any:
    """Train to the end and measure the last validation loss; returns the TRL trainer."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        trainer = supervised.trainer(
            model,
            tokenizer,
            train.examples,
            validation.examples,
            chosen.train,
            chosen.seed,
            compute.device(),
            Path(scratch),
        )
        trainer.train()
        if not _evaluated_at(trainer.state.log_history, trainer.state.global_step):
            trainer.evaluate()
    if not models.has_finite_parameters(trainer.model):
        raise Refusal("training diverged: weights are not finite; lower train.learning_rate")
    return trainer


def _evaluated_at(history: list[dict[str, Any]], step: int) -> bool:
    return any("eval_loss" in entry and entry["step"] == step for entry in history)


def summarize(trainer: Any, train: rows.Rows, chosen: Params) -> dict[str, Any]:
    """What the report says of the run: sizes, truncation, the losses logged last.

    A run of fewer steps than `log_steps` logs no loss; its mean loss stands there then.
    """
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    history = trainer.state.log_history
    losses = [entry["loss"] for entry in history if "loss" in entry]
    mean = [entry["train_loss"] for entry in history if "train_loss" in entry]
    return {
        "strategy": chosen.train.strategy,
        "rows": len(train.examples),
        "rows_truncated": train.truncated,
        "rows_dropped": len(train.dropped),
        "tokens": sum(len(example.input_ids) for example in train.examples),
        "answer_tokens": sum(example.answer_tokens for example in train.examples),
        "steps": trainer.state.global_step,
        "trained_parameters": trained,
        "parameters": trainer.model.num_parameters(),
        "loss": (losses or mean)[-1],
        "validation_loss": [entry["eval_loss"] for entry in history if "eval_loss" in entry][-1],
    }


@click.command(help=__doc__)
@click.argument("base", type=IN_FOLDER)
@click.argument("augmented", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("out", type=OUT)
def main(base: Path, augmented: Path, validation: Path, out: Path) -> None:
    chosen = params.read(Params)
    compute.set_up(chosen.compute, chosen.seed)
    compute.warn_of_slow_bf16("train.precision", chosen.train.precision)
    tokenizer = models.load_tokenizer(base)
    limits = chosen.train.max_length, chosen.train.max_dropped_fraction
    learnt = rows.weighted(records.read(augmented / "train.jsonl"))
    train = rows.render(tokenizer, learnt, *limits)
    held_out = rows.render(tokenizer, records.read(validation), *limits)
    model = models.load(base, "float32", chosen.compute.attention, compute.device())
    trainer = tune(model, tokenizer, train, held_out, chosen)
    summary = summarize(trainer, train, chosen)
    with outputs.folder(out) as partial:
        models.save(trainer.model, partial / "model", chosen.weights.max_shard_gb)
        models.save_tokenizer(tokenizer, partial / "model")
        supervised.write_log(trainer.state.log_history, partial / "log.csv")
        outputs.write_json(partial / "summary.json", summary)
    click.echo(
        f"train: {summary['steps']} steps on {summary['rows']} rows, validation loss "
        f"{summary['validation_loss']:.3f}, {summary['trained_parameters']:,} parameters trained",
        err=True,
    )


if __name__ == "__main__":
    run(main)
