"""Quantize the merged model, reload it from disk and measure what that cost."""

from pathlib import Path
from typing import Any

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.inference import head_outputs, likelihood
from lockstep.models import chat, compute, model_io, quantization
from lockstep.params import PositiveInt, Precision, Section, Seed


class Quantize(Section):
    """In how many bits, and on what the loss is measured."""

    method: quantization.QuantizationMethod
    """nf4 (4 bits) or int8."""
    double_quantization: bool
    """nf4: quantize the scales too, 0.4 bits a weight less."""
    precision: Precision
    """nf4: of the arithmetic in which the weights are used, kept with the model."""
    rows: PositiveInt
    """Validation records, evenly spread, on which perplexity is compared."""
    max_length: PositiveInt
    """Tokens of such a record; longer ones are cut on the right."""
    batch_size: PositiveInt


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    weights: model_io.WeightsParams
    quantize: Quantize


@click.command(help=__doc__)
@click.argument("merged", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("out", type=OUT)
def main(merged: Path, validation: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.quantize
    compute.set_up_torch(chosen.compute, chosen.seed)
    compute.warn_about_slow_bf16("quantize.precision", settings.precision)
    device, attention = compute.select_device(), chosen.compute.attention
    tokenizer = model_io.load_tokenizer(merged)
    held_out = records.sample_evenly(list(records.read(validation)), settings.rows)
    head, length = model_io.read_head(merged), settings.max_length
    if head:
        inputs = [chat.encode_input(tokenizer, row, length)[0] for row in held_out]
    else:
        rows = [chat.encode_example(tokenizer, row, length) for row in held_out]

    def perplexity(folder: Path) -> float:
        model = model_io.load_model(folder, "auto", attention, device)
        losses = likelihood.compute_answer_losses(model, rows, settings.batch_size)
        return round(likelihood.compute_perplexity(losses), 4)

    def numbers(folder: Path) -> list[list[float]]:
        model = model_io.load_model(folder, "auto", attention, device)
        return head_outputs.compute_outputs(
            model, inputs, tokenizer.pad_token_id, settings.batch_size
        )

    with outputs.atomic_folder(out) as partial:
        config = quantization.build_config(
            settings.method, settings.double_quantization, settings.precision
        )
        model = model_io.load_model(merged, "auto", attention, device, config)
        layers = quantization.count_quantized_layers(model)
        model_io.save_model(model, partial, chosen.weights.max_shard_gb)
        model_io.save_tokenizer(tokenizer, partial)
        fact: dict[str, Any] = {
            "method": settings.method,
            "quantized_layers": layers,
            "bytes_before": model_io.count_weight_bytes(merged),
            "bytes_after": model_io.count_weight_bytes(partial),
        }
        if head:
            model_io.write_head(head, partial)
            change = head_outputs.mean_absolute_change(numbers(merged), numbers(partial))
            fact["mean_output_change"] = round(change, 4)
        else:
            fact["perplexity_before"] = perplexity(merged)
            fact["perplexity_after"] = perplexity(partial)
        outputs.write_json(partial / "quantize.json", fact)
    click.echo(
        f"quantize: {settings.method}, {fact['bytes_before']:,} -> {fact['bytes_after']:,} bytes, "
        + (
            f"mean change of an output {fact['mean_output_change']}"
            if head
            else f"perplexity {fact['perplexity_before']} -> {fact['perplexity_after']}"
        ),
        err=True,
    )


if __name__ == "__main__":
    run(main)
