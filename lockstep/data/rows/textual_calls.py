r"""Tool calls that a file writes into the text of an answer.

NousResearch's hermes-function-calling has `<tool_call>\n{json}\n</tool_call>`, and Glaive's
function-calling data `<functioncall> {json}`, in which the arguments are JSON between apostrophes.
"""

import re
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import python_literals, row_fields, tool_parsing
from lockstep.data.rows.content_parts import Content

_BLOCK = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_CALLS = re.compile(
    r"(?:\A|(?<=\s)|(?<=</think>))((?:<tool_call>(?:(?!</?tool_call>).)*</tool_call>\s*)+)\Z",
    re.DOTALL,
)
"""Blocks of calls that end a text."""
_GLAIVE_CALL = re.compile(r"(?:\A|(?<=\s))<functioncall>\s*(\{.*\})\s*\Z", re.DOTALL)
_QUOTED_ARGUMENTS = re.compile(
    r"""\{\s*"name"\s*:\s*("[^"]*")\s*,\s*"arguments"\s*:\s*'(.*)'\s*\}""", re.DOTALL
)
_REASONING = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_RESPONSE = re.compile(r"\s*<tool_response>\s*(.*?)\s*</tool_response>\s*", re.DOTALL)


def split_calls(text: str) -> Content | None:
    """Return the calls at the end of an answer, with the text and the reasoning before them.

    Return None if the text does not end with calls, e.g. because it explains them.
    """
    if match := _CALLS.search(text):
        calls = [_parse_call(block) for block in _BLOCK.findall(match[1])]
    elif match := _GLAIVE_CALL.search(text):
        calls = [_parse_call(match[1])]
    else:
        return None
    before = text[: match.start()]
    reasoning = ""
    if thought := _REASONING.match(before):
        reasoning, before = thought[1].strip(), before[thought.end() :]
        row_fields.check_all_texts(reasoning)
    parsed = tool_parsing.parse_tool_calls(calls)
    return Content(
        text=row_fields.check_characters(before.strip()), reasoning=reasoning, calls=parsed
    )


def unwrap_response(text: str) -> str:
    """Return the result of a tool without `<tool_response>`, which chat templates add again."""
    match = _RESPONSE.fullmatch(text)
    return match[1] if match and "<tool_response>" not in match[1] else text


def _parse_call(text: str) -> Any:
    """Return a call in JSON, in Glaive's notation or in Python's."""
    try:
        return strict_json.parse(text)
    except InvalidRowError:
        pass
    if match := _QUOTED_ARGUMENTS.fullmatch(text):
        arguments = match[2].replace("\\'", "'")
        return {"name": strict_json.parse(match[1]), "arguments": arguments}
    try:
        return python_literals.parse_literal(text)
    except ValueError:
        raise InvalidRowError(
            "tool_call_not_json", detail=f"a call in the text of an answer is {show_value(text)}"
        ) from None
