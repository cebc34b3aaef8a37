"""The form for Ollama: a GGUF file with the Modelfile that loads it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.export import gguf_conversion
from lockstep.hub.local_folder import LICENCE_FILE
from lockstep.models import context, loading
from lockstep.models.gguf_folder import GGUF_FILE, OTHER_METHODS, GgufMethod, is_gguf_folder
from lockstep.publishing import chat_formats, modelfile
from lockstep.publishing.export_plan import ExportFile

CONVERSION: GgufMethod = "gguf_q8_0"
"""Method by which the GGUF file of a merged model is written."""

BYTES_OF_PARAMETER = 34 / 32
"""Q8_0 stores 32 parameters in 8 bits each, with a scale in 16 bits."""


def check_source(folder: Path) -> Iterator[str]:
    """Yield a problem if the weights of a folder can neither be converted nor are a GGUF file."""
    if not is_gguf_folder(folder) and folder.name != "merged":
        yield (
            f"{folder}: Ollama does not read these weights; use FROM=merged, or set "
            "quantize.method to a GGUF method"
        )


def list_files(folder: Path, licence: str) -> list[ExportFile]:
    """Return the GGUF file, the Modelfile and the licence files of a model folder.

    Raise UserError if the model does not generate text, or if no known format has the prompts of
    its chat template. `licence` is the name of the licence for a model without a licence file.
    """
    with _name_remedy():
        gguf_conversion.check_model(folder)
    tokenizer = loading.load_tokenizer(folder)
    chat_format = chat_formats.find_format(tokenizer, str(folder))
    licences = [path for path in sorted(folder.iterdir()) if LICENCE_FILE.fullmatch(path.name)]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in licences]
    text = modelfile.write_modelfile(
        GGUF_FILE,
        chat_format,
        _read_generation(folder),
        _read_context(folder),
        tokenizer.pretrained.convert_ids_to_tokens(tokenizer.end_ids),
        "\n\n".join(texts) or licence,
    )
    weights = ExportFile(GGUF_FILE, folder / GGUF_FILE)
    if not is_gguf_folder(folder):
        weights = ExportFile(GGUF_FILE, folder, estimate=_estimate_size(folder))
    return [
        weights,
        ExportFile("Modelfile", text),
        *(ExportFile(path.name, path) for path in licences),
    ]


def convert(folder: Path, out: Path) -> ExportFile:
    """Write the GGUF file of a merged model into the folder `out`."""
    with _name_remedy():
        gguf_conversion.write_gguf(folder, out / GGUF_FILE, CONVERSION)
    return ExportFile(GGUF_FILE, out / GGUF_FILE)


@contextmanager
def _name_remedy() -> Iterator[None]:
    """Replace the remedy of the stage quantize in an error by that of an export."""
    try:
        yield
    except UserError as error:
        message = error.message.removeprefix("params.yaml: quantize.method: ")
        raise UserError(message.replace(OTHER_METHODS, "use TO=folder")) from None


def _read_generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return outputs.read_json(path) if path.exists() else {}


def _read_context(folder: Path) -> int | None:
    """Return the number of tokens that the model reads; None if its configuration has none."""
    from transformers import AutoConfig

    return context.read_context(AutoConfig.from_pretrained(folder, local_files_only=True))


def _estimate_size(folder: Path) -> int:
    """Return the size of the GGUF file by the number of parameters, from the headers alone."""
    from safetensors import safe_open

    parameters = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                parameters += math.prod(file.get_slice(name).get_shape())
    return int(parameters * BYTES_OF_PARAMETER)
