"""Merge the adapter into the base model and check that the logits stay the same."""

import json
from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.models import (
    base_format,
    compute,
    heads,
    loading,
    merging,
    placement,
    saving,
    seq2seq,
)
from lockstep.params import Section, Seed


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: compute.ComputeParams
    weights: saving.WeightsParams
    merge: merging.MergeParams


@click.command(help=__doc__)
@click.argument("base", type=IN_FOLDER)
@click.argument("trained", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("out", type=OUT)
def main(base: Path, trained: Path, validation: Path, out: Path) -> None:
    settings = params.read(Params)
    compute.set_up_torch(settings.compute, settings.seed)
    attention, devices = settings.compute.attention, placement.choose_devices(base)
    source = trained / "model"
    tokenizer, head = loading.load_tokenizer(base), heads.read_head(source)
    rows = records.read(validation)
    with_targets = head is None and seq2seq.is_seq2seq(base)
    prompts = merging.encode_prompts(tokenizer, rows, settings.merge.prompts, with_targets)
    if merging.is_adapter(source):
        model = loading.load_model(base, "auto", attention, devices, head=head)
        merged, differences = merging.merge_adapter(
            model, source, prompts, settings.merge.tolerance
        )
    else:  # full or freeze trained whole weights, which need no merging
        merged, differences = merging.cast_trained_model(base, source, prompts, attention, devices)
    with outputs.atomic_folder(out) as partial:
        saving.save_model(merged, partial, settings.weights.max_shard_gb)
        base_format.copy_other_files(base, partial)
        if head:
            heads.write_head(head, partial)
        summary = {"prompts": len(prompts), **differences.round()}
        outputs.write_json(partial / "merge.json", summary)
    click.echo(f"merge: {json.dumps(summary)}", err=True)


if __name__ == "__main__":
    run(main)
