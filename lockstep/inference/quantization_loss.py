"""Measure how much a model's outputs change when it is quantized."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstep import records
from lockstep.errors import UserError
from lockstep.inference import head_outputs, likelihood, seq2seq_likelihood
from lockstep.models import heads, loading, placement, seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.models.quantization import QuantizeParams
from lockstep.records import Record


def read_compared_records(file: Path, settings: QuantizeParams, head: Head | None) -> list[Record]:
    """Return validation records for the comparison, sampled evenly from the file.

    Raise UserError if it has none, or if a limit on the perplexity is set for a model with a head,
    which has none.
    """
    if head and settings.max_perplexity_increase is not None:
        raise UserError(
            "params.yaml: quantize.max_perplexity_increase: a model with a head has no perplexity; "
            "remove it, or set a gate on a metric of the quantized variant"
        )
    rows = list(records.read(file))
    if not rows:
        raise UserError(
            f"{file}: no records to compare the model before and after; raise "
            "prepare.split.validation in params.yaml, or add rows"
        )
    return records.sample_evenly(rows, settings.rows)


def measure_quantization_loss(
    original: Path,
    quantized: Path,
    tokenizer: ChatTokenizer,
    rows: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> dict[str, float]:
    """Compare two model folders on the same records.

    Return `perplexity_before` and `perplexity_after` of the reference answers or, for a model
    with a head, the `mean_output_change`.
    """
    if heads.read_head(original) is None:
        return {
            f"perplexity_{when}": _compute_perplexity(folder, tokenizer, rows, settings, attention)
            for when, folder in (("before", original), ("after", quantized))
        }
    before, after = (
        _compute_head_outputs(folder, tokenizer, rows, settings, attention)
        for folder in (original, quantized)
    )
    return {"mean_output_change": round(head_outputs.compute_mean_change(before, after), 4)}


def check_perplexity(loss: Mapping[str, float], limit: float | None) -> None:
    """Raise UserError if the perplexity increased by more than `limit`, a share of it before."""
    if limit is None:
        return
    before, after = loss["perplexity_before"], loss["perplexity_after"]
    increase = after / before - 1
    if increase > limit:
        raise UserError(
            f"params.yaml: quantize.max_perplexity_increase: perplexity went from {before} to "
            f"{after}, which is {increase:.2%} more and not at most {limit:.2%}; use a method that "
            "keeps more bits or fewer zeros, or raise the limit"
        )


def _compute_perplexity(
    folder: Path,
    tokenizer: ChatTokenizer,
    rows: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> float:
    model = loading.load_model(folder, "auto", attention, placement.choose_devices(folder))
    length, batch_size = settings.max_length, settings.batch_size
    if seq2seq.is_seq2seq(folder):
        pairs = [seq2seq.encode_pair(tokenizer, row, length) for row in rows]
        losses = seq2seq_likelihood.compute_answer_losses(model, pairs, batch_size)
    else:
        examples = [tokenizer.encode_example(row, length) for row in rows]
        losses = likelihood.compute_answer_losses(model, examples, batch_size)
    return round(likelihood.compute_perplexity(losses), 4)


def _compute_head_outputs(
    folder: Path,
    tokenizer: ChatTokenizer,
    rows: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> list[list[float]]:
    inputs = [tokenizer.encode_input(row, settings.max_length)[0] for row in rows]
    model = loading.load_model(folder, "auto", attention, placement.choose_devices(folder))
    return head_outputs.compute_outputs(model, inputs, tokenizer.pad_token_id, settings.batch_size)
