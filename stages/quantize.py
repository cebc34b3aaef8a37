"""Quantize the merged model and measure how much its outputs change."""

from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.inference.quantization_loss import measure_quantization_loss
from lockstep.models import base_format, compute, heads, loading, placement, quantization, saving
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
    compute.set_up_torch(settings.compute, settings.seed)
    compute.warn_about_slow_bf16("quantize.precision", quantize.precision)
    tokenizer, head = loading.load_tokenizer(merged), heads.read_head(merged)
    rows = records.sample_evenly(list(records.read(validation)), quantize.rows)
    config = quantization.build_config(
        quantize.method, quantize.double_quantization, quantize.precision
    )
    counts, size = quantization.check_quantization(merged, head, quantize, config)
    with outputs.atomic_folder(out) as partial:
        devices = placement.choose_devices(merged, size)
        model = loading.load_model(merged, "auto", attention, devices, config)
        layers = quantization.count_quantized_layers(model)
        saving.save_model(model, partial, settings.weights.max_shard_gb)
        base_format.copy_other_files(merged, partial)
        if head:
            heads.write_head(head, partial)
        before, after = map(saving.count_weight_bytes, (merged, partial))
        loss = measure_quantization_loss(merged, partial, tokenizer, rows, quantize, attention)
        summary = {
            "method": quantize.method,
            "quantized_layers": layers,
            "quantized_share": round(counts.share, 4),
            "bytes_before": before,
            "bytes_after": after,
        }
        outputs.write_json(partial / "quantize.json", summary | loss)
    loss_text = ", ".join(f"{name} {value}" for name, value in loss.items())
    click.echo(
        f"quantize: {quantize.method}, {counts}, {before:,} -> {after:,} bytes, {loss_text}",
        err=True,
    )


if __name__ == "__main__":
    run(main)
