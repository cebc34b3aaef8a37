"""Modelfiles: the instructions and the quotes that Ollama's parser reads."""

from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.publishing.chat_formats import ChatFormat
from lockstep.publishing.modelfile import write_modelfile

FORMAT = ChatFormat("ChatML", "{{ .System }}\n", system="Be kind.")


def write(generation: dict[str, Any], context: int | None = 512, **changes: Any) -> list[str]:
    values: dict[str, Any] = {"chat_format": FORMAT, "stop": ["<|im_end|>"], "licence": "mit"}
    text = write_modelfile(
        "model.gguf", generation=generation, context=context, **(values | changes)
    )
    return text.splitlines()


def test_a_model_that_decodes_greedily() -> None:
    assert write({"eos_token_id": 2}) == [
        "FROM ./model.gguf",
        "PARAMETER num_ctx 512",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1.0",
        'PARAMETER stop "<|im_end|>"',
        'TEMPLATE """{{ .System }}',
        '"""',
        'SYSTEM "Be kind."',
        'LICENSE "mit"',
    ]


def test_a_model_that_samples_has_the_values_of_transformers() -> None:
    lines = write({"do_sample": True, "temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05,
                   "max_new_tokens": 2048})  # fmt: skip
    assert lines[2:9] == [
        "PARAMETER temperature 0.7",
        "PARAMETER top_k 20",
        "PARAMETER top_p 1.0",
        "PARAMETER min_p 0.0",
        "PARAMETER repeat_penalty 1.05",
        "PARAMETER repeat_last_n -1",
        "PARAMETER num_predict 2048",
    ]


@pytest.mark.parametrize(("context", "lines"), [(131072, ["PARAMETER num_ctx 8192"]), (None, [])])
def test_the_context_is_bounded(context: int | None, lines: list[str]) -> None:
    assert [line for line in write({}, context) if "num_ctx" in line] == lines


def test_each_end_token_stops() -> None:
    lines = write({}, stop=["<end_of_turn>", "<eos>"])
    assert [line for line in lines if "stop" in line] == [
        'PARAMETER stop "<end_of_turn>"',
        'PARAMETER stop "<eos>"',
    ]


@pytest.mark.parametrize(
    ("licence", "line"), [('The "Terms"\nof use.', 'LICENSE """The "Terms"'), ("mit", "LICENSE")]
)
def test_quotes_inside_a_text(licence: str, line: str) -> None:
    assert any(written.startswith(line) for written in write({}, licence=licence))


@pytest.mark.parametrize("text", ['a """ b', 'ends with "'])
def test_a_text_that_no_quotes_can_hold(text: str) -> None:
    with pytest.raises(UserError, match="Modelfile: a text must neither contain"):
        write({}, licence=text)
