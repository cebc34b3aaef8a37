"""Merge the adapter into the base model and check that the logits stay the same."""

import json
from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.models import compute, heads, loading, merging, saving, seq2seq
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
    source = trained / "model"
    with outputs.atomic_folder(out) as partial:
        if merging.is_adapter(source):
            compute.set_up_torch(settings.compute, settings.seed)
            tokenizer, head = loading.load_tokenizer(source), heads.read_head(source)
            attention, device = settings.compute.attention, compute.select_device()
            model = loading.load_model(base, "auto", attention, device, head=head)
            prompts = merging.encode_prompts(
                tokenizer,
                records.read(validation),
                settings.merge.prompts,
                with_targets=head is None and seq2seq.is_seq2seq(base),
            )
            model, difference = merging.merge_adapter(
                model, source, prompts, settings.merge.tolerance
            )
            saving.save_folder(model, tokenizer, head, partial, settings.weights.max_shard_gb)
        else:  # full or freeze trained whole weights, which need no merging
            prompts, difference = (), 0.0
            for file in sorted(source.iterdir()):
                outputs.link_or_copy(file, partial / file.name)
        summary = {
            "prompts": len(prompts),
            "largest_logit_difference": float(f"{difference:.3g}"),
        }
        outputs.write_json(partial / "merge.json", summary)
    click.echo(f"merge: {json.dumps(summary)}", err=True)


if __name__ == "__main__":
    run(main)
