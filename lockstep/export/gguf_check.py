"""Check a GGUF file with two readers that did not write it: gguf's and llama.cpp itself."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lockstep.errors import UserError
from lockstep.inference.llama_cpp import LlamaCpp
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import OTHER_METHODS
from lockstep.records import Message, Record

MIN_TOKEN_AGREEMENT = 0.9
"""Least share of texts for which llama.cpp must produce our tokens.

Texts that differ only because the tokenizer normalizes Unicode, which llama.cpp does not, are not
counted; others mean that it splits texts by other rules than those of training.
"""

END_TOKEN_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
"""Keys of a GGUF file for the tokens at which llama.cpp ends an answer."""

ROWS_PER_READ = 4096
"""Number of rows of a matrix that are dequantized at a time."""


@dataclass(frozen=True, slots=True)
class GgufAgreement:
    """Shares of texts for which llama.cpp produces the tokens of this project."""

    tokens: float
    """Share of the conversations whose text becomes the same tokens."""
    prompts: float | None
    """Share of the prompts that its chat template and tokenizer turn into the same tokens.

    None without a chat template.
    """

    def round(self) -> dict[str, float]:
        """Return both with four decimal places, for quantize.json."""
        shares = {"token_agreement": self.tokens, "prompt_agreement": self.prompts}
        return {name: round(share, 4) for name, share in shares.items() if share is not None}


def check_gguf(file: Path, tokenizer: ChatTokenizer, rows: Sequence[Record]) -> GgufAgreement:
    """Read a GGUF file back, and compare llama.cpp's tokens of the records with ours.

    Print a line if some differ. Raise UserError if the file holds something else than the model or
    the tokenizer, or if many tokens differ.
    """
    check_content(file, tokenizer)
    if further := tokenizer.end_ids[len(END_TOKEN_KEYS) :]:
        names = ", ".join(tokenizer.pretrained.convert_ids_to_tokens(further))
        click.echo(
            f"{file.name}: it holds {len(END_TOKEN_KEYS)} end tokens; llama.cpp may go on after "
            f"{names}",
            err=True,
        )
    with LlamaCpp(file) as runtime:
        _load(runtime)
        texts = [_render_conversation(tokenizer, row) for row in rows]
        differing = [text for text in texts if _has_other_tokens(runtime, tokenizer, text)]
        _check_splitting(runtime, tokenizer, differing, len(texts))
        tokens = _report_difference(file, differing, len(texts), "has other tokens")
        if not tokenizer.has_template:
            return GgufAgreement(tokens, None)
        prompts = [row for row in rows if row.prompt]
        differing = [
            row.question
            for row in prompts
            if _encode_prompt(runtime, row) != tokenizer.encode_prompt(row.prompt, row.tools)
        ]
        return GgufAgreement(
            tokens, _report_difference(file, differing, len(prompts), "becomes another prompt")
        )


def _load(runtime: LlamaCpp) -> None:
    """Load the file; raise UserError with another method as the remedy."""
    try:
        runtime.load(1)
    except UserError as error:
        reason, _, _ = error.message.partition("; ")
        raise _build_error(reason.removeprefix(f"{runtime.file}: ")) from None


def check_content(file: Path, tokenizer: ChatTokenizer) -> None:
    """Raise UserError if numbers, vocabulary, end tokens or chat template are not ours."""
    import gguf

    reader = gguf.GGUFReader(file)
    for tensor in reader.tensors:
        if not all(_iterate_finite(tensor)):
            kind = tensor.tensor_type.name
            raise _build_error(f"{tensor.name} has numbers outside of the range of {kind}")
    values = {
        key.removeprefix("tokenizer.").removeprefix("ggml."): field.contents()
        for key, field in reader.fields.items()
        if key.startswith("tokenizer.")
    }
    _check_vocabulary(values["tokens"], tokenizer.pretrained)
    ends = [values[key] for key in END_TOKEN_KEYS if key in values]
    for number in tokenizer.end_ids[: len(END_TOKEN_KEYS)]:
        if number not in ends:
            raise _build_error(f"the file lacks the end token {values['tokens'][number]!r}")
    template = tokenizer.pretrained.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if values.get("chat_template") != template:
        raise _build_error("the file has another chat template")


def _check_vocabulary(tokens: Sequence[str], pretrained: Any) -> None:
    """Raise UserError if a token has another number; those added to a vocabulary are not compared.

    llama.cpp has them as they are written, without marks for blanks.
    """
    added = pretrained.get_added_vocab()
    for token, number in pretrained.get_vocab().items():
        if token not in added and (number >= len(tokens) or tokens[number] != token):
            raise _build_error(f"token {number} of the file is not {token!r}")


def _build_error(problem: str) -> UserError:
    return UserError(f"params.yaml: quantize.method: {problem}; {OTHER_METHODS}")


def _iterate_finite(tensor: Any) -> Iterator[bool]:
    """Yield for groups of rows whether all numbers of a tensor are finite."""
    import gguf
    import numpy as np

    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    for start in range(0, len(rows), ROWS_PER_READ):
        group = gguf.dequantize(rows[start : start + ROWS_PER_READ], tensor.tensor_type)
        yield bool(np.isfinite(group).all())


def _render_conversation(tokenizer: ChatTokenizer, record: Record) -> str:
    """Return the text of a record, as its chat template writes it."""
    if tokenizer.has_template and record.prompt:
        return tokenizer.template.render(record.messages, record.tools)
    return record.answer


def _has_other_tokens(runtime: LlamaCpp, tokenizer: ChatTokenizer, text: str) -> bool:
    """Whether llama.cpp and the tokenizer turn a text into different tokens."""
    ours = tokenizer.encode_text(text, with_control_tokens=True)
    return _tokenize(runtime, text, add_special=False) != ours


def _check_splitting(
    runtime: LlamaCpp, tokenizer: ChatTokenizer, differing: Sequence[str], total: int
) -> None:
    """Raise UserError if many texts differ even when their Unicode is normalized."""
    composed = [unicodedata.normalize("NFC", text) for text in differing]
    split = [text for text in composed if _has_other_tokens(runtime, tokenizer, text)]
    if len(split) > total * (1 - MIN_TOKEN_AGREEMENT):
        raise _build_error(
            f"llama.cpp splits {len(split)} of {total} validation texts into other tokens than the "
            f"tokenizer, {split[0][:60]!r} for example"
        )


def _tokenize(runtime: LlamaCpp, text: str, add_special: bool) -> list[int]:
    """Return llama.cpp's tokens of a text; `add_special` adds those that begin a text."""
    request = {"content": text, "add_special": add_special, "parse_special": True}
    tokens: list[int] = runtime.post("/tokenize", request)["tokens"]
    return tokens


def _encode_prompt(runtime: LlamaCpp, record: Record) -> list[int] | None:
    """Return the tokens of a prompt that llama.cpp's server would answer; None if it refuses."""
    request: dict[str, Any] = {"messages": list(_format_messages(record.prompt))}
    if record.tools:
        request["tools"] = record.tools
    try:
        text = runtime.post("/apply-template", request)["prompt"]
    except RuntimeError:
        return None
    return _tokenize(runtime, text, add_special=True)


def _format_messages(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield messages as the API of OpenAI has them, with the arguments of calls as text."""
    for message in messages:
        formatted = {key: value for key, value in message.items() if key != "weight"}
        if "tool_calls" in message:
            formatted["tool_calls"] = [
                {
                    "id": f"call{number}",
                    "type": "function",
                    "function": {
                        "name": call["function"]["name"],
                        "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
                    },
                }
                for number, call in enumerate(message["tool_calls"])
            ]
        yield formatted


def _report_difference(file: Path, differing: Sequence[str], total: int, problem: str) -> float:
    """Return the share of texts that agree; print a line with an example if some do not."""
    if differing:
        click.echo(
            f"{file.name}: {len(differing)} of {total} validation texts differ in llama.cpp: "
            f"{differing[0][:60]!r} {problem}",
            err=True,
        )
    return 1 - len(differing) / total if total else 1.0
