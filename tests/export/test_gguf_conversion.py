"""Merged models are written as GGUF files whose bytes depend on the model alone."""

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Literal

import gguf
import pytest
from safetensors.numpy import load_file

from lockstep.errors import UserError
from lockstep.export.gguf_conversion import write_gguf
from lockstep.models import heads, soft_prompt

STARTER = Path(__file__).parents[2] / "data/starter/model"

Method = Literal["gguf_f16", "gguf_q8_0", "gguf_q5_1", "gguf_q4_0"]


@pytest.mark.parametrize(
    ("method", "file_type", "block_type", "embedding_type"),
    [
        ("gguf_f16", 1, "F16", "F16"),
        ("gguf_q8_0", 7, "Q8_0", "Q8_0"),
        ("gguf_q5_1", 9, "Q5_1", "Q8_0"),
        ("gguf_q4_0", 2, "Q4_0", "Q5_1"),
    ],
)
def test_matrices_have_the_type_of_the_method_and_norms_and_biases_32_bits(
    tiny_model: Path,
    tmp_path: Path,
    method: Method,
    file_type: int,
    block_type: str,
    embedding_type: str,
) -> None:
    """The numbers of file types are those of llama.h (LLAMA_FTYPE_MOSTLY_Q4_0 is 2 …)."""
    summary = write_gguf(tiny_model, tmp_path / "model.gguf", method)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert reader.fields["general.file_type"].contents() == file_type
    assert types.pop("token_embd.weight") == embedding_type  # it is the output layer as well
    for name, kind in types.items():
        is_vector = name.endswith(".bias") or "norm" in name
        assert kind == ("F32" if is_vector else block_type), name
    assert summary.bytes == (tmp_path / "model.gguf").stat().st_size
    weights = load_file(tiny_model / "model.safetensors").values()
    parameters = sum(tensor.size for tensor in weights)
    assert summary.parameters == parameters
    matrices = sum(tensor.size for tensor in weights if tensor.ndim == 2)
    share = 0 if method == "gguf_f16" else matrices / parameters
    assert summary.quantized_share == pytest.approx(share, abs=1e-3)


def test_bytes_depend_neither_on_the_folder_nor_on_the_run(
    tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "Qwen-7B-v2")
    write_gguf(tmp_path / "Qwen-7B-v2", tmp_path / "first.gguf", "gguf_q4_0")
    write_gguf(tiny_model, tmp_path / "second.gguf", "gguf_q4_0")
    assert (tmp_path / "first.gguf").read_bytes() == (tmp_path / "second.gguf").read_bytes()
    assert b"7B" not in (tmp_path / "first.gguf").read_bytes()[:2000]


def test_names_of_several_chat_templates_have_a_fixed_order(
    tiny_model: Path, tmp_path: Path
) -> None:
    """The converter collects them in a set, whose order differs between processes."""
    shutil.copytree(tiny_model, tmp_path / "model")
    templates = tmp_path / "model/additional_chat_templates"
    templates.mkdir()
    for name in ("tool_use", "rag", "short", "long"):
        (templates / f"{name}.jinja").write_text(f"{name} {{{{ messages[0].content }}}}")
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", "gguf_q8_0")
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    names = fields["tokenizer.chat_templates"].contents()
    assert names == ["long", "rag", "short", "tool_use"]
    assert fields["tokenizer.chat_template.rag"].contents() == "rag {{ messages[0].content }}"
    default = (tiny_model / "chat_template.jinja").read_text(encoding="utf-8")
    assert fields["tokenizer.chat_template"].contents() == default


@pytest.mark.parametrize(
    "kind", ["a model with a head", "a sequence-to-sequence model", "a model with a soft prompt"]
)
def test_models_that_llama_cpp_cannot_serve_are_refused(tmp_path: Path, kind: str) -> None:
    shutil.copytree(STARTER, tmp_path / "model")
    if kind == "a model with a head":
        heads.write_head(heads.Head("regression", []), tmp_path / "model")
    elif kind == "a model with a soft prompt":
        (tmp_path / "model" / soft_prompt.FILE).write_bytes(b"")
    else:
        config = tmp_path / "model/config.json"
        config.write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    with pytest.raises(UserError, match=f"holds {kind}, which llama.cpp cannot serve; set"):
        write_gguf(tmp_path / "model", tmp_path / "model.gguf", "gguf_f16")


def test_a_full_disk_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 6_000_000))
    with pytest.raises(UserError, match=r"need 6,\d{3},\d{3} bytes, and 6,000,000 are free;"):
        write_gguf(STARTER, tmp_path / "model.gguf", "gguf_f16")
    assert not (tmp_path / "model.gguf").exists()
    write_gguf(STARTER, tmp_path / "model.gguf", "gguf_q8_0")
