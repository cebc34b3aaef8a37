"""Write a merged model as a GGUF file with llama.cpp's converter."""

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.export import gguf_check
from lockstep.models import heads, loading, seq2seq, soft_prompt, weight_check
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE, OTHER_METHODS, GgufMethod
from lockstep.models.quantization import WrittenForm
from lockstep.models.weight_counts import MIN_QUANTIZED_SHARE
from lockstep.records import Record

FILE_TYPES = {
    "gguf_f16": "MOSTLY_F16",
    "gguf_q8_0": "MOSTLY_Q8_0",
    "gguf_q5_1": "MOSTLY_Q5_1",
    "gguf_q4_0": "MOSTLY_Q4_0",
}
"""Names of the file types in gguf.LlamaFileType."""

BLOCK_TYPES = {"gguf_q5_1": "Q5_1", "gguf_q4_0": "Q4_0"}
"""Types of the matrices of the transformer blocks that the converter does not write by itself."""

OUTPUT_TYPES = {"gguf_q5_1": "Q8_0", "gguf_q4_0": "Q5_1"}
"""Types of the output layer in the files of `BLOCK_TYPES`; other matrices have the type Q8_0.

llama.cpp's own files have Q6_K there, which gguf cannot write. Q8_0 in a Q4_0 file would make a
model of 135 million parameters 5.9 instead of 6.5 times smaller than in 32 bits.
"""


@dataclass(frozen=True, slots=True)
class GgufSummary:
    """Size of a GGUF file."""

    bytes: int
    """Size of the file, with tokenizer and metadata."""
    parameters: int
    """Number of parameters of the model."""
    quantized: int
    """Number of parameters that have fewer than 16 bits."""

    @property
    def bits_per_weight(self) -> float:
        """Bits of the file for each parameter, as llama.cpp counts them."""
        return 8 * self.bytes / self.parameters

    @property
    def quantized_share(self) -> float:
        """Share of the parameters that have fewer than 16 bits."""
        return self.quantized / self.parameters


def write_gguf_model(
    merged: Path, out: Path, method: GgufMethod, tokenizer: ChatTokenizer, rows: Sequence[Record]
) -> WrittenForm:
    """Write GGUF file and configuration of the merged model, and check the file on records."""
    file = out / GGUF_FILE
    gguf_summary = write_gguf(merged, file, method)
    agreement = gguf_check.check_gguf(file, tokenizer, rows)
    outputs.link_or_copy(merged / "config.json", out / "config.json")
    share = gguf_summary.quantized_share
    summary = {"quantized_share": round(share, 4), "runtime": "llama.cpp", **agreement.round()}
    if method == "gguf_f16":
        return WrittenForm("all matrices in 16 bits", summary)
    return WrittenForm(f"{share:.1%} of the parameters in fewer than 16 bits", summary)


def write_gguf(merged: Path, target: Path, method: GgufMethod) -> GgufSummary:
    """Write the model of a merged folder to the file `target`, and return its size.

    The bytes depend on the model alone. Raise UserError if llama.cpp cannot serve the model or its
    tokenizer, or if the disk is too small.
    """
    check_model(merged)
    for name in ("gguf.gguf_writer", "hf-to-gguf"):  # they name each tensor and each key
        logging.getLogger(name).setLevel(logging.ERROR)
    with _report_refusal():
        converter = _build_converter(merged, target, method)
        converter.prepare_tensors()
        converter.prepare_metadata(vocab_only=False)
    writer = converter.gguf_writer
    sizes = [(_count_parameters(t), t.dtype, t.nbytes) for t in writer.tensors[0].values()]
    parameters = sum(number for number, *_ in sizes)
    quantized = sum(number for number, dtype, _ in sizes if dtype.name.startswith("Q"))
    if method != "gguf_f16" and quantized < MIN_QUANTIZED_SHARE * parameters:
        raise UserError(
            f"params.yaml: quantize.method: {method} can quantize {quantized / parameters:.0%} of "
            "the parameters only, those in rows of a multiple of 32; set quantize.method to "
            "gguf_f16 or nf4"
        )
    weight_check.check_space(target.parent, sum(size for *_, size in sizes))
    writer.write_header_to_file(path=target)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufSummary(
        bytes=target.stat().st_size,
        parameters=parameters,
        quantized=quantized,
    )


def check_model(merged: Path) -> None:
    """Raise UserError if llama.cpp serves no model of this kind."""
    kind = ""
    if heads.read_head(merged) is not None:
        kind = "a model with a head"
    elif seq2seq.is_seq2seq(merged):
        kind = "a sequence-to-sequence model"
    elif (merged / soft_prompt.FILE).exists():
        kind = "a model with a soft prompt"
    if kind:
        raise UserError(
            f"params.yaml: quantize.method: {merged} holds {kind}, which llama.cpp cannot serve; "
            f"{OTHER_METHODS}"
        )


def _build_converter(merged: Path, target: Path, method: GgufMethod) -> Any:
    """Return llama.cpp's converter for the architecture of a model, with our corrections."""
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    from lockstep.export.gguf_converter import CorrectedConverter, restore_published_keys

    hparams = restore_published_keys(ModelBase.load_hparams(merged, is_mistral_format=False))
    architecture = get_model_architecture(hparams, ModelType.TEXT)
    try:
        base: Any = get_model_class(architecture)
    except NotImplementedError:
        raise UserError(
            f"params.yaml: quantize.method: llama.cpp's converter lacks {architecture}; "
            f"{OTHER_METHODS}"
        ) from None
    except AttributeError as error:  # a constant that a newer version of gguf has
        raise UserError(
            f"params.yaml: quantize.method: llama.cpp's converter for {architecture} needs a newer "
            f"version of gguf, with {error}; {OTHER_METHODS}"
        ) from None
    block_type, output_type = BLOCK_TYPES.get(method), OUTPUT_TYPES.get(method)
    attributes = {
        "model_arch": base.model_arch,
        "tokenizer": loading.load_tokenizer(merged),
        "file_type": gguf.LlamaFileType[FILE_TYPES[method]],
        "block_type": gguf.GGMLQuantizationType[block_type] if block_type else None,
        "output_type": gguf.GGMLQuantizationType[output_type] if output_type else None,
    }
    converter_class: Any = type(base.__name__, (CorrectedConverter, base), attributes)
    first_type = "MOSTLY_F16" if method == "gguf_f16" else "MOSTLY_Q8_0"
    return converter_class(merged, gguf.LlamaFileType[first_type], target, hparams=hparams)


@contextmanager
def _report_refusal() -> Iterator[None]:
    """Turn the errors by which the converter refuses a model into a UserError of one line."""
    import torch

    try:
        with torch.inference_mode():
            yield
    except (
        ArithmeticError, AssertionError, AttributeError, FileNotFoundError, LookupError,
        RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        message = str(error) or traceback.extract_tb(error.__traceback__)[-1].line or ""
        reason = f"{type(error).__name__}: {' '.join(message.split())[:200]}"
        raise UserError(
            f"params.yaml: quantize.method: llama.cpp's converter refuses the model ({reason}); "
            f"{OTHER_METHODS}"
        ) from None


def _count_parameters(tensor: Any) -> int:
    """Return the number of parameters of a tensor that will be written."""
    import gguf

    block, block_bytes = gguf.GGML_QUANT_SIZES[tensor.dtype]
    return int(tensor.nbytes // block_bytes * block)
