"""Merged models are written as GGUF files whose bytes depend on the model alone."""

import shutil
from pathlib import Path
from typing import Literal

import gguf
import pytest

from lockstep.export.gguf_conversion import write_gguf

STARTER = Path(__file__).parents[2] / "data/starter/model"

Method = Literal["gguf_f16", "gguf_q8_0", "gguf_q5_1", "gguf_q4_0"]


@pytest.mark.parametrize(
    ("method", "file_type", "block_type", "embedding_type"),
    [
        ("gguf_f16", 1, "F16", "F16"),
        ("gguf_q8_0", 7, "Q8_0", "Q8_0"),
        ("gguf_q5_1", 9, "Q5_1", "Q8_0"),
        ("gguf_q4_0", 2, "Q4_0", "Q8_0"),
    ],
)
def test_matrices_have_the_type_of_the_method_and_norms_and_biases_32_bits(
    tmp_path: Path, method: Method, file_type: int, block_type: str, embedding_type: str
) -> None:
    """The numbers of file types are those of llama.h (LLAMA_FTYPE_MOSTLY_Q4_0 is 2 …)."""
    summary = write_gguf(STARTER, tmp_path / "model.gguf", method)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert reader.fields["general.file_type"].contents() == file_type
    assert types.pop("token_embd.weight") == embedding_type  # it is the output layer as well
    for name, kind in types.items():
        is_vector = name.endswith(".bias") or "norm" in name
        assert kind == ("F32" if is_vector else block_type), name
    assert summary.bytes == (tmp_path / "model.gguf").stat().st_size
    assert summary.parameters == 3_362_240
    assert summary.quantized_share == pytest.approx(0 if method == "gguf_f16" else 0.999, abs=1e-3)


def test_bytes_depend_neither_on_the_folder_nor_on_the_run(tmp_path: Path) -> None:
    shutil.copytree(STARTER, tmp_path / "Qwen-7B-v2")
    write_gguf(tmp_path / "Qwen-7B-v2", tmp_path / "first.gguf", "gguf_q4_0")
    write_gguf(STARTER, tmp_path / "second.gguf", "gguf_q4_0")
    assert (tmp_path / "first.gguf").read_bytes() == (tmp_path / "second.gguf").read_bytes()
    assert b"7B" not in (tmp_path / "first.gguf").read_bytes()[:2000]
