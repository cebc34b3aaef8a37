"""Merge the adapter into the base model and check that the logits stay the same."""

import json
from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.merging import parity
from lockstep.merging.merge_params import MergeParams
from lockstep.merging.merged_model import Merge
from lockstep.models import compute, heads, loading, saving, seq2seq
from lockstep.params import Section, Seed


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: compute.ComputeParams
    weights: saving.WeightsParams
    merge: MergeParams


@click.command(help=__doc__)
@click.argument("base", type=IN_FOLDER)
@click.argument("trained", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("adapters", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(base: Path, trained: Path, validation: Path, adapters: Path, out: Path) -> None:
    settings = params.read(Params)
    compute.set_up_torch(settings.compute, settings.seed)
    source = trained / "model"
    tokenizer, head = loading.load_tokenizer(base), heads.read_head(source)
    with_targets = head is None and seq2seq.is_seq2seq(base)
    number = settings.merge.prompts if settings.merge.parity == "logits" else 0
    prompts = parity.encode_prompts(tokenizer, records.read(validation), number, with_targets)
    merge = Merge(
        base, source, adapters, head, settings.merge, settings.compute.attention,
        settings.weights.max_shard_gb, settings.seed,
    )  # fmt: skip
    with outputs.atomic_folder(out) as partial:
        summary = merge.write(partial, prompts)
        outputs.write_json(partial / "merge.json", summary)
    click.echo(f"merge: {json.dumps(summary)}", err=True)


if __name__ == "__main__":
    run(main)
