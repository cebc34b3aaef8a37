"""Each model has the folder and the engine that fit it; GGUF files are exported when needed."""

import importlib
import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from lockstep.errors import UserError
from lockstep.models import heads
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.models.heads import Head
from lockstep.serving.engines import model_forms
from lockstep.serving.engines.model_forms import (
    EngineName,
    build_command,
    choose_folder_form,
    choose_form,
)


@pytest.fixture
def data(tmp_path: Path, tiny_model: Path) -> Path:
    """Folder with a base alone."""
    shutil.copytree(tiny_model, tmp_path / "data/base")
    return tmp_path / "data"


def test_a_merged_model_is_exported_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    form = choose_form("base", data, tmp_path / "build", "auto", None)
    assert (form.engine, form.folder, form.head) == ("llama_cpp", data / "base", None)
    assert form.weights == tmp_path / "build/base" / GGUF_FILE
    assert form.weights.read_bytes()[:4] == b"GGUF"
    assert "converting" in capsys.readouterr().err
    written = form.weights.stat().st_mtime_ns
    choose_form("base", data, tmp_path / "build", "llama_cpp", None)
    assert (form.weights.stat().st_mtime_ns, capsys.readouterr().err) == (written, "")
    (data / "base/README.md").write_text("changed", encoding="utf-8")
    choose_form("base", data, tmp_path / "build", "llama_cpp", None)
    assert form.weights.stat().st_mtime_ns > written


def test_a_quantized_gguf_file_is_served_as_it_is(data: Path, starter_gguf: Path) -> None:
    (data / "base").rename(data / "merged")
    (data / "quantized").symlink_to(starter_gguf)
    form = choose_form("tuned", data, data / "build", "auto", 128)
    assert (form.folder, form.weights) == (data / "quantized", data / "quantized" / GGUF_FILE)
    assert form.context == 128
    other = choose_form("tuned", data, data / "build", "transformers", None)
    assert (other.folder, other.weights) == (data / "merged", data / "merged")
    assert not (data / "build").exists()


def test_a_model_with_a_head_has_the_engine_transformers(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads.write_head(Head("single_label_classification", ["a", "b"]), data / "base")
    form = choose_form("base", data, data / "build", "auto", None)
    assert (form.engine, form.weights) == ("transformers", data / "base")
    assert form.head is not None
    assert "a model with a head, which llama.cpp cannot serve" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"set serving.engine to transformers"):
        choose_form("base", data, data / "build", "llama_cpp", None)


def test_quantized_weights_have_the_engine_transformers(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default of quantize, nf4, writes them: llama.cpp's converter refuses them."""
    file = data / "base/config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    file.write_text(json.dumps(config), encoding="utf-8")
    form = choose_folder_form("last", data / "base", data / "build", "auto", None)
    assert (form.engine, form.weights) == ("transformers", data / "base")
    assert "base holds quantized weights, which llama.cpp cannot" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"copy data/merged instead, or set serving.engine"):
        choose_folder_form("last", data / "base", data / "build", "llama_cpp", None)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_an_engine_that_is_not_installed_is_named(data: Path) -> None:
    with pytest.raises(UserError, match=r"serving.engine: vllm is not installed; install it"):
        choose_form("base", data, data / "build", "vllm", None)


def test_mistakes_are_named(data: Path) -> None:
    with pytest.raises(UserError, match=r"quantized: not found; run `dvc repro quantize`"):
        choose_form("tuned", data, data / "build", "auto", None)
    with pytest.raises(UserError, match=r"serving.context: 9999 tokens are more than the model's"):
        choose_form("base", data, data / "build", "transformers", 9999)


def test_any_folder_of_a_model_is_served_under_its_name(
    data: Path, starter_gguf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    form = choose_folder_form("last", starter_gguf, data / "build", "auto", 128)
    assert (form.name, form.engine, form.context) == ("last", "llama_cpp", 128)
    assert (form.folder, form.weights) == (starter_gguf, starter_gguf / GGUF_FILE)
    form = choose_folder_form("next", data / "base", data / "build", "auto", None)
    assert form.weights == data / "build/next" / GGUF_FILE and form.weights.exists()
    form = choose_folder_form("next", data / "base", data / "build", "transformers", None)
    assert (form.engine, form.weights) == ("transformers", data / "base")


def test_folders_that_cannot_be_served_are_named(data: Path, starter_gguf: Path) -> None:
    with pytest.raises(UserError, match=r"serving.folders.next: .*/data has no config.json; name"):
        choose_folder_form("next", data, data / "build", "auto", None)
    with pytest.raises(UserError, match=r"is a GGUF file, which transformers does not serve"):
        choose_folder_form("next", starter_gguf, data / "build", "transformers", None)


def test_a_long_context_is_served_in_part(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_forms, "MAX_CONTEXT", 100)
    assert choose_form("base", data, data / "build", "transformers", None).context == 100


@pytest.mark.parametrize("engine", ["llama_cpp", "transformers", "vllm"])
def test_each_engine_receives_the_options_that_it_has(data: Path, engine: EngineName) -> None:
    form = choose_form("base", data, data / "build", "transformers", None)
    weights = data / "base/config.json" if engine == "llama_cpp" else form.weights  # it has a file
    form = replace(form, engine=engine, weights=weights)
    _, module, *arguments = build_command(form, 4, 2, 77, "cpu")("a.sock")
    main: click.Command = importlib.import_module(module).main
    context = main.make_context(module, [*arguments])
    assert (context.params["socket"], context.params["parent"]) == ("a.sock", 77)
    expected = {"context": form.context, "slots": 4, "threads": 2, "cpu": True}
    options = expected.keys() & context.params
    assert {name: context.params[name] for name in options} == {n: expected[n] for n in options}
    assert "--cpu" not in build_command(form, 4, 2, 77, "auto")("a.sock")
