"""Pre-train the starter model on unlabelled text."""

import csv
from dataclasses import asdict
from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, OUT, run
from lockstep.models import compute, saving
from lockstep.params import Section, Seed
from lockstep.starter import pretraining

MAX_SHARD_GB = 1.0


class Params(Section):
    """Sections of data/starter/pretraining/params.yaml."""

    seed: Seed
    compute: compute.ComputeParams
    starter: pretraining.StarterParams


@click.command(help=__doc__)
@click.argument("params_file", type=IN_FILE)
@click.argument("text", type=IN_FILE)
@click.argument("folder", type=OUT)
@click.argument("log_file", type=click.Path(dir_okay=False, path_type=Path))
def main(params_file: Path, text: Path, folder: Path, log_file: Path) -> None:
    settings = params.read(Params, params_file)
    compute.set_up_torch(settings.compute, settings.seed)
    attention = settings.compute.attention
    model, tokenizer, losses = pretraining.train_starter(
        text, settings.starter, attention, settings.seed
    )
    with outputs.atomic_folder(folder) as partial:
        # half the bytes in git; config.json names float32, so every stage loads them as that
        state = model.state_dict()
        halves = {tensor.data_ptr(): tensor.bfloat16() for tensor in state.values()}  # tied weights
        state = {name: halves[tensor.data_ptr()] for name, tensor in state.items()}
        saving.save_model(model, partial, MAX_SHARD_GB, state=state)
        saving.save_tokenizer(tokenizer, partial)
    with outputs.atomic_file(log_file) as partial, partial.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, asdict(losses[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {
                name: f"{value:.5g}" if name != "step" else value
                for name, value in asdict(row).items()
            }
            for row in losses
        )
    click.echo(
        f"starter: {model.num_parameters():,} parameters, "
        f"validation loss {losses[-1].validation_loss:.3f}",
        err=True,
    )


if __name__ == "__main__":
    run(main)
