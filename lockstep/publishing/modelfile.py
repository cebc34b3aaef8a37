"""Write the Modelfile, by which Ollama loads a model with its parameters, template and stop tokens.

The instructions are described at https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lockstep.errors import UserError
from lockstep.publishing.chat_formats import ChatFormat

MAX_CONTEXT = 8192
"""Largest context that is set, in tokens; Ollama reserves memory for all of it."""

SAMPLING = {
    "temperature": ("temperature", 1.0),
    "top_k": ("top_k", 50),
    "top_p": ("top_p", 1.0),
    "min_p": ("min_p", 0.0),
}
"""Parameter of Ollama -> key of generation_config.json and its default in transformers, when
`do_sample` is true; Ollama's own defaults differ."""


def write_modelfile(
    weights: str,
    chat_format: ChatFormat,
    generation: Mapping[str, Any],
    context: int | None,
    stop: list[str],
    licence: str,
) -> str:
    """Return the text of a Modelfile.

    `weights` is the name of the GGUF file beside it, `generation` the content of
    generation_config.json, `context` the number of tokens that the model reads, `stop` the texts
    of its end tokens.
    """
    lines = [
        f"FROM ./{weights}",
        *(f"PARAMETER {name} {value}" for name, value in _list_parameters(generation, context)),
        *(f"PARAMETER stop {_quote(text)}" for text in stop),
        f"TEMPLATE {_quote(chat_format.template)}",
    ]
    if chat_format.system:
        lines.append(f"SYSTEM {_quote(chat_format.system)}")
    lines.append(f"LICENSE {_quote(licence)}")
    return "\n".join(lines) + "\n"


def _list_parameters(
    generation: Mapping[str, Any], context: int | None
) -> Iterator[tuple[str, int | float]]:
    """Yield the parameters that make Ollama generate as transformers does."""
    if context:
        yield "num_ctx", min(context, MAX_CONTEXT)
    if generation.get("do_sample"):
        for name, (key, default) in SAMPLING.items():
            value = generation.get(key)
            yield name, default if value is None else value
    else:
        yield "temperature", 0
    penalty = generation.get("repetition_penalty")
    yield "repeat_penalty", 1.0 if penalty is None else penalty
    if penalty not in (None, 1.0):
        yield "repeat_last_n", -1  # transformers looks at all tokens, Ollama at the last 64
    if limit := generation.get("max_new_tokens"):
        yield "num_predict", limit


def _quote(text: str) -> str:
    """Return a text between the marks that Ollama reads; it knows no escapes."""
    if '"' not in text and "\n" not in text:
        return f'"{text}"'
    if '"""' in text or text.endswith('"'):
        raise UserError(
            f'Modelfile: a text must neither contain """ nor end with ": {text[:60]!r}; use '
            "TO=folder"
        )
    return f'"""{text}"""'
