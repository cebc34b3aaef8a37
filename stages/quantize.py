"""Quantize the merged model and measure how much its outputs change."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.export import gguf_conversion
from lockstep.inference.quantization_loss import (
    check_perplexity,
    measure_quantization_loss,
    read_compared_records,
)
from lockstep.models import (
    base_format,
    compute,
    gguf_folder,
    heads,
    loading,
    pruning,
    quantization,
    saving,
    weight_check,
    weight_counts,
)
from lockstep.params import Section, Seed


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: compute.ComputeParams
    weights: saving.WeightsParams
    quantize: quantization.QuantizeParams


@click.command(help=__doc__)
@click.argument("merged", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("out", type=OUT)
def main(merged: Path, validation: Path, out: Path) -> None:
    settings = params.read(Params)
    quantize, attention = settings.quantize, settings.compute.attention
    max_shard_gb = settings.weights.max_shard_gb
    compute.set_up_torch(settings.compute, settings.seed)
    if quantize.method in ("nf4", "fp4"):
        compute.warn_about_slow_bf16("quantize.precision", quantize.precision)
    quantization.check_device(quantize.method)
    tokenizer, head = loading.load_tokenizer(merged), heads.read_head(merged)
    weight_check.check_weights(merged)
    rows = read_compared_records(validation, quantize, head)
    parameters = weight_counts.count_weights(merged, head).total
    with outputs.atomic_folder(out) as partial:
        if quantize.method == "pruned":
            form = pruning.write_pruned_model(merged, partial, quantize, attention, max_shard_gb)
        elif gguf_folder.is_gguf_method(quantize.method):
            form = gguf_conversion.write_gguf_model(
                merged, partial, quantize.method, tokenizer, rows
            )
        else:
            form = quantization.write_quantized_model(
                merged, head, partial, quantize, attention, max_shard_gb
            )
        base_format.copy_other_files(merged, partial)
        if head:
            heads.write_head(head, partial)
        before, after = map(gguf_folder.count_weight_bytes, (merged, partial))
        loss = measure_quantization_loss(merged, partial, tokenizer, rows, quantize, attention)
        check_perplexity(loss, quantize.max_perplexity_increase)
        summary = {
            "method": quantize.method,
            "bytes_before": before,
            "bytes_after": after,
            "bits_per_weight": round(8 * after / parameters, 2),
        }
        outputs.write_json(partial / "quantize.json", summary | form.summary | loss)
    loss_text = ", ".join(f"{name} {value}" for name, value in loss.items())
    click.echo(
        f"quantize: {quantize.method}, {form.description}, {before:,} -> {after:,} bytes, "
        f"{summary['bits_per_weight']} bits per weight, {loss_text}",
        err=True,
    )


if __name__ == "__main__":
    run(main)
