"""Functions that a system message lists between `<tools>` tags, as for Hermes and Qwen.

They become the tools of the conversation, and leave the text, since the chat template of a model
shows its tools itself.
"""

import re
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import python_literals, tool_parsing

_BLOCK = re.compile(r"<tools>\s*(?=[\[{])(.*?)\s*</tools>", re.DOTALL)
_EXPLANATIONS = re.compile(
    r"""
    you[ ]are[ ]provided[ ]with[ ]function[ ]signatures[ ]within[ ]<tools>\s*</tools>
        (?:[ ]XML)?(?:[ ]tags)?[.:]?
    | you[ ]may[ ]call[ ]one[ ]or[ ]more[ ]functions[ ]to[ ]assist[ ]with[ ]the[ ]user[ ]query\.
    | here[ ]are[ ]the[ ]available[ ]tools:
    | use[ ]the[ ]following[ ]pydantic[ ]model[ ]json[ ]schema[ ]for[ ]each[ ]tool[ ]call
        [ ]you[ ]will[ ]make:?\s*\{.*?\}\s*(?=for[ ]each[ ]function[ ]call)
    | for[ ]each[ ]function[ ]call,?[ ]return[ ]a[ ]json[ ]object[ ]with[ ](?:the[ ])?function
        [ ]name[ ]and[ ]arguments[ ]within[ ]<tool_call>\s*</tool_call>[^<]{0,60}
        <tool_call>.*?</tool_call>
    | ^\#[ ]Tools\s*$
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
"""Sentences that explain only how functions are listed and called."""
_BLANKS = re.compile(r"[ \t]{2,}|\n{3,}")


def split_tools(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a system message without the functions that it lists, and these.

    A message whose functions cannot be read stays as it is.
    """
    blocks = _BLOCK.findall(text)
    tools = [function for block in blocks for function in _parse_block(block)]
    if not tools:
        return text, []
    rest = _EXPLANATIONS.sub(" ", _BLOCK.sub(" ", text))
    return _BLANKS.sub(_shorten, rest).strip(), tool_parsing.parse_tools(tools)


def _parse_block(text: str) -> list[Any]:
    """Return the functions of a block: a list in JSON or Python's notation, or one per line."""
    for parse in (strict_json.parse, python_literals.parse_literal, _parse_lines):
        try:
            value = parse(text)
        except (InvalidRowError, ValueError):
            continue
        return value if isinstance(value, list) else [value]
    return []


def _parse_lines(text: str) -> list[Any]:
    return [strict_json.parse(line) for line in text.splitlines() if line.strip()]


def _shorten(blanks: re.Match[str]) -> str:
    return "\n\n" if blanks[0].startswith("\n") else " "
