"""Measure how much a model's outputs change when it is quantized."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.inference import head_outputs, likelihood, seq2seq_likelihood
from lockstep.models import heads, loading, placement, seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.models.quantization import QuantizeParams
from lockstep.records import Record


def measure_quantization_loss(
    original: Path,
    quantized: Path,
    tokenizer: ChatTokenizer,
    records: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> dict[str, float]:
    """Compare two model folders on the same records.

    Return `perplexity_before` and `perplexity_after` of the reference answers or, for a model
    with a head, the `mean_output_change`.
    """
    if heads.read_head(original) is None:
        return {
            f"perplexity_{when}": _compute_perplexity(
                folder, tokenizer, records, settings, attention
            )
            for when, folder in (("before", original), ("after", quantized))
        }
    before, after = (
        _compute_head_outputs(folder, tokenizer, records, settings, attention)
        for folder in (original, quantized)
    )
    return {"mean_output_change": round(head_outputs.compute_mean_change(before, after), 4)}


def _compute_perplexity(
    folder: Path,
    tokenizer: ChatTokenizer,
    records: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> float:
    model = loading.load_model(folder, "auto", attention, placement.choose_devices(folder))
    length, batch_size = settings.max_length, settings.batch_size
    if seq2seq.is_seq2seq(folder):
        pairs = [seq2seq.encode_pair(tokenizer, row, length) for row in records]
        losses = seq2seq_likelihood.compute_answer_losses(model, pairs, batch_size)
    else:
        examples = [tokenizer.encode_example(row, length) for row in records]
        losses = likelihood.compute_answer_losses(model, examples, batch_size)
    return round(likelihood.compute_perplexity(losses), 4)


def _compute_head_outputs(
    folder: Path,
    tokenizer: ChatTokenizer,
    records: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> list[list[float]]:
    inputs = [tokenizer.encode_input(row, settings.max_length)[0] for row in records]
    model = loading.load_model(folder, "auto", attention, placement.choose_devices(folder))
    return head_outputs.compute_outputs(model, inputs, tokenizer.pad_token_id, settings.batch_size)
