"""Choose the folder and the engine of each model that is served, and export GGUF files."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import click

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.models import context, heads
from lockstep.models.gguf_folder import GGUF_FILE, is_gguf_folder
from lockstep.models.heads import Head

EngineName = Literal["llama_cpp", "vllm", "transformers"]

STAGES = {"base": "base", "merged": "merge", "quantized": "quantize"}
MAX_CONTEXT = 8192
"""Context of a model that has more, unless serving.context says otherwise."""

SOURCE_FILE = "source.json"
"""File beside an exported GGUF file, with the files that it was made of."""


@dataclass(frozen=True, slots=True)
class ModelForm:
    """A model as it is served."""

    name: str
    folder: Path
    """Folder with the tokenizer and, for the engine transformers or vllm, the weights."""
    engine: EngineName
    weights: Path
    """The GGUF file for llama.cpp, otherwise the folder."""
    head: Head | None
    context: int
    """Maximum number of tokens of a prompt with its answer."""


def choose_form(
    name: str, data: Path, build: Path, engine: str, max_context: int | None
) -> ModelForm:
    """Return the form of the model `tuned` or `base` in the folder `data`.

    llama.cpp serves the quantized model if it is a GGUF file. Otherwise the merged model, or the
    base, is exported to Q8_0 in `build`. The other engines serve the quantized model, if it is no
    GGUF file, or the base.
    """
    quantized = _find_folder(data / ("quantized" if name == "tuned" else "base"))
    source = _find_folder(data / ("merged" if name == "tuned" else "base"))
    return _build_form(name, quantized, source, build, engine, max_context)


def choose_folder_form(
    name: str, folder: Path, build: Path, engine: str, max_context: int | None
) -> ModelForm:
    """Return the form of a model in any folder; one without a GGUF file is exported as needed."""
    if not (folder / "config.json").exists():
        raise UserError(
            f"params.yaml: serving.folders.{name}: {folder} has no config.json; name the folder of "
            "a model, such as data/merged or a copy of it"
        )
    if is_gguf_folder(folder):
        if engine not in ("auto", "llama_cpp"):
            raise UserError(
                f"params.yaml: serving.folders.{name}: {folder} is a GGUF file, which {engine} "
                "does not serve; set serving.engine to llama_cpp"
            )
        context = _read_context(folder, max_context)
        return ModelForm(name, folder, "llama_cpp", folder / GGUF_FILE, None, context)
    return _build_form(name, folder, folder, build, engine, max_context)


def _build_form(
    name: str, quantized: Path, source: Path, build: Path, engine: str, max_context: int | None
) -> ModelForm:
    head = heads.read_head(source)
    is_gguf = is_gguf_folder(quantized)
    engine_name = _choose_engine(engine, source, head, is_gguf)
    folder = source if is_gguf and engine_name != "llama_cpp" else quantized
    weights = folder
    if engine_name == "llama_cpp":
        folder = quantized if is_gguf else source
        weights = folder / GGUF_FILE if is_gguf else export_gguf(source, build / name)
    return ModelForm(name, folder, engine_name, weights, head, _read_context(source, max_context))


def _find_folder(folder: Path) -> Path:
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: not found; run `dvc repro {STAGES[folder.name]}`")
    return folder


def _choose_engine(engine: str, source: Path, head: Head | None, is_gguf: bool) -> EngineName:
    """Return the engine of a model; raise UserError if it cannot serve the model."""
    if engine == "llama_cpp":
        _check_llama_cpp(source)
        return "llama_cpp"
    if engine == "vllm" and not _is_vllm_installed():
        raise UserError(
            "params.yaml: serving.engine: vllm is not installed; install it on a machine with a "
            "GPU, or set auto"
        )
    if engine in ("vllm", "transformers"):
        if engine == "vllm" and head is not None:
            return "transformers"
        return "vllm" if engine == "vllm" else "transformers"
    if head is None and _has_vllm():
        return "vllm"
    if is_gguf:
        return "llama_cpp"
    try:
        _check_llama_cpp(source)
    except UserError as error:
        click.echo(f"serve: {source}: transformers answers; {error.message}", err=True)
        return "transformers"
    return "llama_cpp"


def _check_llama_cpp(source: Path) -> None:
    from lockstep.export import gguf_conversion

    if "quantization_config" in outputs.read_json(source / "config.json"):
        raise UserError(
            f"{source} holds quantized weights, which llama.cpp cannot convert; copy data/merged "
            "instead, or set serving.engine to transformers"
        )
    try:
        gguf_conversion.check_model(source)
    except UserError as error:
        raise UserError(_name_remedy(error.message)) from None


def _has_vllm() -> bool:
    """Whether vLLM is installed and there is a GPU."""
    if not _is_vllm_installed():
        return False
    from lockstep.models import compute

    return compute.select_device() == "cuda"


def _is_vllm_installed() -> bool:
    try:
        version("vllm")
    except PackageNotFoundError:
        return False
    return True


def export_gguf(source: Path, target: Path) -> Path:
    """Return the Q8_0 file of a model folder in `target`; write it if it is not the folder's."""
    files = [
        [path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for path in sorted(source.iterdir())
    ]
    record = target / SOURCE_FILE
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == files:
        return target / GGUF_FILE
    from lockstep.export import gguf_conversion

    click.echo(f"serve: converting {source} to Q8_0 in {target}", err=True)
    with outputs.atomic_folder(target) as partial:
        try:
            gguf_conversion.write_gguf(source, partial / GGUF_FILE, "gguf_q8_0")
        except UserError as error:
            raise UserError(_name_remedy(error.message)) from None
        (partial / SOURCE_FILE).write_text(json.dumps(files), encoding="utf-8")
    return target / GGUF_FILE


def _name_remedy(message: str) -> str:
    """Replace the remedy of the stage quantize in a message by that of the server."""
    from lockstep.models.gguf_folder import OTHER_METHODS

    text = message.removeprefix("params.yaml: quantize.method: ")
    return text.replace(OTHER_METHODS, "set serving.engine to transformers")


def _read_context(folder: Path, limit: int | None) -> int:
    """Return the context that is served; raise UserError if it exceeds that of the model."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    maximum = context.read_context(config) or math.inf
    if limit and limit > maximum:
        raise UserError(
            f"params.yaml: serving.context: {limit} tokens are more than the model's {maximum}; "
            "lower it"
        )
    return limit or int(min(maximum, MAX_CONTEXT))


def build_command(
    form: ModelForm, concurrent: int, threads: int, parent: int, device: str
) -> Callable[[str], Sequence[str]]:
    """Return a function from the path of a socket to the arguments of Python for an engine.

    `device` concerns llama.cpp alone: transformers reads runtime.device, and vLLM needs a GPU.
    """

    options: dict[EngineName, dict[str, int]] = {
        "llama_cpp": {"context": form.context, "slots": concurrent, "threads": threads},
        "vllm": {"context": form.context},
        "transformers": {"threads": threads},
    }
    flags = [part for name, value in options[form.engine].items() for part in (f"--{name}", value)]
    if form.engine == "llama_cpp" and device == "cpu":
        flags.append("--cpu")

    def build(socket: str) -> Sequence[str]:
        module = f"lockstep.serving.engines.{form.engine}_engine"
        return [*map(str, ["-m", module, form.weights, socket, "--parent", parent, *flags])]

    return build
