"""Render the part of Go's template language that the chat templates for Ollama use.

The language is described at https://pkg.go.dev/text/template. This renders if, else, range, end,
variables, fields, texts and the functions in FUNCTIONS. Ollama calls a template with the fields
System and Messages.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.records import Message

_ACTION = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')


@dataclass(slots=True)
class Block:
    """A part of a template: an action with the parts inside it, or a text without parts."""

    words: list[str]
    """Words of the action; empty for a text."""
    text: str = ""
    parts: list["Block"] = field(default_factory=list)
    """Parts of an if or range."""
    otherwise: list["Block"] = field(default_factory=list)
    """Parts after its else."""


def render_messages(template: str, messages: Sequence[Message]) -> str:
    """Return the prompt that Ollama makes of a conversation.

    As in Ollama, `.System` has the system messages and `.Messages` all messages.
    """
    system = "\n\n".join(row["content"] for row in messages if row["role"] == "system")
    rows = [{"Role": row["role"], "Content": row["content"]} for row in messages]
    return render(template, {"System": system, "Messages": rows})


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of a template; raise ValueError for a word that this part lacks."""
    parts = _split_actions(template)
    blocks, end = _parse_blocks(parts)
    if end:
        raise ValueError(f"{' '.join(end)} without if or range")
    return _render_blocks(blocks, values, {"$": values})


def _split_actions(template: str) -> list[Block]:
    """Return the texts and actions of a template in reverse order."""
    pieces = _ACTION.split(template)
    return [
        Block(_WORD.findall(piece)) if number % 2 else Block([], piece)
        for number, piece in reversed([*enumerate(pieces)])
    ]


def _parse_blocks(parts: list[Block]) -> tuple[list[Block], list[str]]:
    """Take parts up to the end or else of the block; return them and the words that ended it."""
    blocks: list[Block] = []
    while parts:
        block = parts.pop()
        if block.words[:1] in (["end"], ["else"]):
            return blocks, block.words
        if block.words[:1] in (["if"], ["range"]):
            _parse_branches(block, parts)
        blocks.append(block)
    return blocks, []


def _parse_branches(block: Block, parts: list[Block]) -> None:
    """Take the parts of an if or range up to its end; an `else if` becomes a block inside it."""
    block.parts, end = _parse_blocks(parts)
    if end[:2] == ["else", "if"]:
        block.otherwise = [Block(end[1:])]
        _parse_branches(block.otherwise[0], parts)
    elif end == ["else"]:
        block.otherwise, end = _parse_blocks(parts)
    if not end:
        raise ValueError(f"{' '.join(block.words)} has no end")


def _render_blocks(blocks: Sequence[Block], dot: Any, variables: dict[str, Any]) -> str:
    return "".join(_render_block(block, dot, variables) for block in blocks)


def _render_block(block: Block, dot: Any, variables: dict[str, Any]) -> str:
    match block.words:
        case []:
            return block.text
        case ["if", *words]:
            chosen = block.parts if _evaluate(words, dot, variables) else block.otherwise
            return _render_blocks(chosen, dot, variables)
        case ["range", index, _, ":=", *words]:
            texts = []
            for number, row in enumerate(_evaluate(words, dot, variables)):
                variables[index.removesuffix(",")] = number
                texts.append(_render_blocks(block.parts, row, variables))
            return "".join(texts)
        case ["range", *words]:
            rows = _evaluate(words, dot, variables)
            return "".join(_render_blocks(block.parts, row, variables) for row in rows)
        case [name, ":=" | "=", *words]:
            variables[name] = _evaluate(words, dot, variables)
            return ""
        case words:
            return str(_evaluate(words, dot, variables))


def _evaluate(words: Sequence[str], dot: Any, variables: Mapping[str, Any]) -> Any:
    """Return the value of an operand, or of a function with its operands."""
    rest = [*words[::-1]]
    value = _evaluate_call(rest, dot, variables)
    if rest:
        raise ValueError(f"unexpected {rest[-1]} in {' '.join(words)}")
    return value


def _evaluate_call(rest: list[str], dot: Any, variables: Mapping[str, Any]) -> Any:
    """Take words up to a closing bracket or the end, and return their value."""
    function = FUNCTIONS.get(rest[-1]) if rest else None
    if function is None:
        return _evaluate_operand(rest, dot, variables)
    rest.pop()
    values = []
    while rest and rest[-1] != ")":
        values.append(_evaluate_operand(rest, dot, variables))
    return function(*values)


def _evaluate_operand(rest: list[str], dot: Any, variables: Mapping[str, Any]) -> Any:
    """Take one operand and return its value."""
    word = rest.pop() if rest else ""
    if word == "(":
        value = _evaluate_call(rest, dot, variables)
        rest.pop()
        return value
    if word.startswith('"'):
        return word[1:-1].replace(r"\n", "\n").replace(r"\"", '"')
    if word.isdigit():
        return int(word)
    name, _, key = word.partition(".")
    if not word or (name and name not in variables):
        raise ValueError(f"unknown word {word!r}")
    value = variables[name] if name else dot
    return value[key] if key else value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": lambda first, *others: first in others,
    "ne": lambda first, second: first != second,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": lambda value: not value,
    "len": len,
    "slice": lambda rows, start: rows[start:],
}
"""Functions of the language by their names."""
