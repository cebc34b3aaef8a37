"""Measure how much a model's outputs change when it is quantized."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstep import records
from lockstep.errors import UserError
from lockstep.inference import (
    head_outputs,
    likelihood,
    llama_cpp_likelihood,
    seq2seq_likelihood,
)
from lockstep.inference.llama_cpp import LlamaCpp
from lockstep.models import gguf_folder, heads, loading, placement, seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.models.quantization import QuantizeParams
from lockstep.records import Record

RUNTIME_TOLERANCES = {"gguf_f16": 0.01, "gguf_q8_0": 0.05}
"""Largest relative change of the perplexity by methods that lose almost nothing.

A larger one means that llama.cpp lacks an option of the configuration, such as a factor of the
attention scores.
"""


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
        loss = {
            f"perplexity_{when}": _compute_perplexity(folder, tokenizer, rows, settings, attention)
            for when, folder in (("before", original), ("after", quantized))
        }
        check_runtime(loss, settings.method)
        return loss
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


def check_runtime(loss: Mapping[str, float], method: str) -> None:
    """Raise UserError if another runtime computes another model from almost the same weights."""
    before, after = loss["perplexity_before"], loss["perplexity_after"]
    if abs(after / before - 1) > RUNTIME_TOLERANCES.get(method, math.inf):
        raise UserError(
            f"params.yaml: quantize.method: {method}: the perplexity is {after} in llama.cpp and "
            f"{before} in transformers, so llama.cpp computes another model; "
            f"{gguf_folder.OTHER_METHODS}"
        )


def _compute_perplexity(
    folder: Path,
    tokenizer: ChatTokenizer,
    rows: Sequence[Record],
    settings: QuantizeParams,
    attention: str,
) -> float:
    length, batch_size = settings.max_length, settings.batch_size
    if gguf_folder.is_gguf_folder(folder):
        examples = [tokenizer.encode_example(row, length) for row in rows]
        with LlamaCpp(folder / gguf_folder.GGUF_FILE) as runtime:
            losses = llama_cpp_likelihood.compute_answer_losses(
                runtime, examples, tokenizer.end_ids[0]
            )
        return round(likelihood.compute_perplexity(losses), 4)
    model = loading.load_model(folder, "auto", attention, placement.choose_devices(folder))
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
