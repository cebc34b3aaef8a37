"""Model folders whose weights are a GGUF file, the format of llama.cpp."""

from pathlib import Path
from typing import Literal, TypeGuard, get_args

from lockstep.models import saving

GGUF_FILE = "model.gguf"
"""File with the weights, the tokenizer and the chat template as llama.cpp reads them.

Configuration, tokenizer and templates stand beside it as in the merged folder.
"""

GgufMethod = Literal["gguf_f16", "gguf_q8_0", "gguf_q5_1", "gguf_q4_0"]
"""Values of `quantize.method` that write a GGUF file, named after the type of its matrices."""

OTHER_METHODS = "set quantize.method to nf4 or int8"
"""Remedy for a model that llama.cpp cannot serve."""


def is_gguf_method(method: str) -> TypeGuard[GgufMethod]:
    """Whether a value of `quantize.method` writes a GGUF file."""
    return method in get_args(GgufMethod)


def is_gguf_folder(folder: Path) -> bool:
    """Whether the weights of a model folder are a GGUF file and nothing else."""
    return (folder / GGUF_FILE).exists() and not any(folder.glob("*.safetensors"))


def count_weight_bytes(folder: Path) -> int:
    """Return the size of a folder's weights in bytes; a GGUF file counts as a whole."""
    if is_gguf_folder(folder):
        return (folder / GGUF_FILE).stat().st_size
    return saving.count_weight_bytes(folder)
