"""Model folders whose weights are a GGUF file, the format of llama.cpp."""

from pathlib import Path
from typing import Literal

GGUF_FILE = "model.gguf"
"""File with the weights, the tokenizer and the chat template as llama.cpp reads them.

Configuration, tokenizer and templates stand beside it as in the merged folder.
"""

GgufMethod = Literal["gguf_f16", "gguf_q8_0", "gguf_q5_1", "gguf_q4_0"]
"""Values of `quantize.method` that write a GGUF file, named after the type of its matrices."""


def is_gguf_folder(folder: Path) -> bool:
    """Whether the weights of a model folder are a GGUF file."""
    return (folder / GGUF_FILE).exists()
