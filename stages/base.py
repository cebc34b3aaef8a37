"""Fetch the base model: a starter trained here, a revision from the hub or a local folder."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, OUT, run
from lockstep.hub import base_model
from lockstep.hub.base_params import BaseParams
from lockstep.models import compute, model_io
from lockstep.params import Section, Seed
from lockstep.starter import pretraining


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: compute.ComputeParams
    base: BaseParams
    starter: pretraining.StarterParams
    weights: model_io.WeightsParams


@click.command(help=__doc__)
@click.argument("text", type=IN_FILE)
@click.argument("out", type=OUT)
def main(text: Path, out: Path) -> None:
    settings = params.read(Params)
    base = settings.base
    with outputs.atomic_folder(out) as partial:
        match base.source:
            case "starter":
                compute.set_up_torch(settings.compute, settings.seed)
                model, tokenizer, loss = pretraining.train_starter(
                    text, settings.starter, settings.compute.attention, settings.seed
                )
                max_shard_gb = settings.weights.max_shard_gb
                model_io.save_folder(model, tokenizer, None, partial, max_shard_gb)
                base_model.check_base(partial, base)
                summary = (
                    f"pre-trained {model.num_parameters():,} parameters to a loss of {loss:.2f}"
                )
            case "hub":
                base_model.download_base(base, partial)
                summary = f"downloaded {base.id} at {base.revision}"
            case "path":
                base_model.copy_base(base, partial)
                summary = f"copied {base.path}"
        base_model.apply_configuration(partial, base)
    click.echo(f"base: {summary}", err=True)


if __name__ == "__main__":
    run(main, first=True)
