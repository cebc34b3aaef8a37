r"""Conversations in one text, whose turns begin with the name of a speaker at the start of a line.

Anthropic's preferences have `\n\nHuman: … \n\nAssistant: …`, Glaive's function-calling data
`USER: … ASSISTANT: … <|endoftext|> FUNCTION RESPONSE: …`. A name inside a line is no turn, unless
it stands after ### and no turn but the first begins a line.
"""

import json
import re
from operator import ne
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields, textual_calls, tool_parsing
from lockstep.data.sources import Source
from lockstep.records import Message

FAMILIES: tuple[dict[str, str], ...] = (
    {"Human": "user", "Assistant": "assistant", "System": "system"},
    {"User": "user", "Assistant": "assistant", "System": "system"},
    {"USER": "user", "ASSISTANT": "assistant", "SYSTEM": "system", "FUNCTION RESPONSE": "tool"},
    {"### Human": "user", "### Assistant": "assistant", "### System": "system"},
    {"### User": "user", "### Assistant": "assistant", "### System": "system"},
    {"用户": "user", "助手": "assistant", "系统": "system"},
    {"问": "user", "答": "assistant"},
)
"""Names that mark turns together, and the roles that they stand for."""

_MARKED_ROLES = {
    name: role for family in FAMILIES for name, role in family.items() if name.startswith("###")
}
_INLINE_MARK = re.compile(rf"(?<!#)({'|'.join(_MARKED_ROLES)})\s?:")
"""Names after ###, which mark turns inside a line too."""

_ANTHROPIC_MARK = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant|System):")
_END_OF_TEXT = re.compile(r"\s*<\|endoftext\|>\s*\Z")
_SYSTEM_MARK = re.compile(r"\s*SYSTEM:\s*")
_FUNCTIONS = re.compile(r"^\s*(?=(?:\[\s*)?\{)", re.MULTILINE)
"""The beginning of the functions in a system message."""
_DECODER = json.JSONDecoder()

_INTRODUCTION = re.compile(
    r"you are an? (?:helpful )?(?:ai )?assistant,? with access to the following functions"
    r"(?:\.|:|\Z)|use them if (?:required|needed|necessary)(?:\.|:|\s*-|\Z)|\s*-\s*\Z",
    re.IGNORECASE,
)
"""Sentences of a system message that say only that there are functions."""


def parse_transcript(text: str) -> list[Message]:
    r"""Return the turns of a text `\n\nHuman: … \n\nAssistant: …`; none if it is another text."""
    marks = list(_ANTHROPIC_MARK.finditer(text)) if "Human:" in text else []
    if len(marks) < 2 or marks[0].start() or marks[0][1] == "Assistant":
        return []
    return _divide(text, marks, FAMILIES[0])


def split_prompt(text: str, source: Source) -> list[Message]:
    """Return the turns of a text that ends with a name of the assistant; none for other texts."""
    if not text.rstrip().endswith((":", "：")):
        return []
    inline = (_find_inline_marks(text), _MARKED_ROLES)
    for marks, roles in (*((_find_marks(text, r), r) for r in _list_families(source)), inline):
        if marks and _ends_with_name(text, marks[-1], roles):
            try:
                if marks[0].re is not _INLINE_MARK:
                    _check_separation(marks)
                return _divide(text, marks, roles)
            except InvalidRowError:  # unclear, or a turn is empty
                return []
    return []


def _ends_with_name(text: str, mark: re.Match[str], roles: dict[str, str]) -> bool:
    is_assistant = roles[mark[mark.lastindex or 0]] == "assistant"
    return is_assistant and not text[mark.end() :].strip()


def _list_families(source: Source) -> tuple[dict[str, str], ...]:
    """Return the names that mark turns together, those of the source first."""
    own_names = {key: str(role) for key, role in source.roles.items() if role != "tool_call"}
    return (own_names, *FAMILIES)


def parse_conversation(
    text: str, name: str, source: Source
) -> tuple[list[Message], list[dict[str, Any]]]:
    """Return the turns of a transcript, and the functions in its system turn.

    Raise InvalidRowError if the text does not begin with a turn, or if it is unclear where its
    turns begin.
    """
    for roles in _list_families(source):
        marks = _find_marks(text, roles)
        found = {roles[mark[2]] for mark in marks}
        if {"user", "assistant"} <= found:
            _check_separation(marks)
            _refuse_hidden_marks(text, marks)
            return _read_turns(_divide(text, marks, roles))
    if marks := _find_inline_marks(text):
        return _read_turns(_divide(text, marks, _MARKED_ROLES))
    raise InvalidRowError(
        f"{name}_not_turns",
        detail=f"{name} holds {show_value(text)}: neither a list of turns nor a text whose turns "
        "begin with Human: and Assistant:, User: and Assistant:, or names in roles of the source; "
        "for turns that alternate, set turn_separator to what stands between them",
    )


def split_system(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a system message without `SYSTEM:`, and the functions that it lists as JSON.

    What introduces the functions is dropped if it says only that there are some. A message without
    the mark stays as it is.
    """
    mark = _SYSTEM_MARK.match(text)
    return _split_functions(text[mark.end() :]) if mark else (text, [])


def _find_marks(text: str, roles: dict[str, str]) -> list[re.Match[str]]:
    """Return the marks of turns at line starts; none if the text does not begin with one."""
    if not roles:
        return []
    names = "|".join(map(re.escape, sorted(roles, key=len, reverse=True)))
    marks = list(re.finditer(rf"(\A\s*|\n(?:[ \t]*\r?\n)+|\n)({names})\s?[:：]", text))
    return marks if marks and not marks[0].start() else []


def _find_inline_marks(text: str) -> list[re.Match[str]]:
    """Return the marks with ### anywhere in a text, if it begins with one and the roles alternate.

    OpenAssistant-Guanaco has `### Human: a### Assistant: b### Human: c`.
    """
    if "###" not in text:
        return []
    marks = list(_INLINE_MARK.finditer(text))
    roles = [_MARKED_ROLES[mark[1]] for mark in marks if _MARKED_ROLES[mark[1]] != "system"]
    alternates = roles[:2] == ["user", "assistant"] and all(map(ne, roles, roles[1:]))
    return marks if alternates and not text[: marks[0].start()].strip() else []


def _refuse_hidden_marks(text: str, marks: list[re.Match[str]]) -> None:
    """Raise InvalidRowError if marks inside the lines continue the turns that begin lines."""
    if marks[0][2].startswith("###") and len(_find_inline_marks(text)) > len(marks):
        raise InvalidRowError(
            "unclear_transcript",
            detail="some turns begin a line, others with ### are inside one; write the "
            "conversation as a list of turns",
        )


def refuse_marked_turns(text: str, column: str) -> None:
    """Raise InvalidRowError for a text with turns after ###, whose marks would be learnt."""
    if _find_inline_marks(text):
        raise InvalidRowError(
            "text_is_a_conversation",
            detail="it has turns that begin with ###, which would be learnt as text; read it by "
            f"format: messages, columns: {{messages: {column}}}",
        )


def _check_separation(marks: list[re.Match[str]]) -> None:
    """Raise InvalidRowError if some turns of a speaker follow a blank line and others do not.

    One of them may be a line of an answer that looks like a turn.
    """
    separations: dict[str, bool] = {}
    for number, mark in enumerate(marks[1:], 2):
        is_apart = mark[1].count("\n") > 1
        if separations.setdefault(mark[2], is_apart) != is_apart:
            raise InvalidRowError(
                "unclear_transcript",
                detail=f"some turns of {mark[2]} follow a blank line, others such as turn "
                f"{number} do not; write the conversation as a list of turns",
            )


def _divide(text: str, marks: list[re.Match[str]], roles: dict[str, str]) -> list[Message]:
    """Return a message for each mark, without an answer that is only begun at the end."""
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    turns = []
    for mark, end in zip(marks, ends, strict=True):
        role = roles[mark[mark.lastindex or 0]]
        content = text[mark.end() : end].strip()
        turns.append({"role": role, "content": content})
    if not turns[-1]["content"] and turns[-1]["role"] == "assistant":
        turns.pop()  # the end of a prompt
    for turn in turns:
        row_fields.check_text(turn["content"], "content")
    return turns


def _read_turns(turns: list[Message]) -> tuple[list[Message], list[dict[str, Any]]]:
    """Return the turns with tool calls in the answers, and the functions of the system turn."""
    messages: list[Message] = []
    tools: list[dict[str, Any]] = []
    for turn in turns:
        role = turn["role"]
        if role == "system":
            system, tools = _split_functions(turn["content"])
            if not system:
                continue
            turn = {**turn, "content": system}
        elif role == "assistant":
            turn = read_answer(_END_OF_TEXT.sub("", turn["content"]))
        messages.append(turn)
    return messages, tools


def read_answer(text: str) -> Message:
    """Return an answer whose text may end with tool calls."""
    message: Message = {"role": "assistant", "content": row_fields.check_characters(text)}
    content = textual_calls.split_calls(text)
    if content is not None:
        message |= {"content": content.text, "tool_calls": content.calls}
        if content.reasoning:
            message["reasoning_content"] = content.reasoning
    elif "<functioncall>" in row_fields.check_text(text, "content"):
        raise InvalidRowError("tool_call_inside_text", detail=f"an answer is {show_value(text)}")
    return message


def _split_functions(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a text without the functions at its end, and these."""
    begin = _FUNCTIONS.search(text)
    if begin is None:
        return text.strip(), []
    position, values = begin.end(), []
    while position < len(text):
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            raise InvalidRowError(
                "tools_not_json",
                detail=f"the system message ends with {show_value(text[position:])}, which is no "
                "function in JSON",
            ) from None
        values += value if isinstance(value, list) else [value]
        position += len(text[position:]) - len(text[position:].lstrip(" \t\r\n,"))
    introduction = text[: begin.start()].strip()
    return _INTRODUCTION.sub("", introduction).strip(), tool_parsing.parse_tools(values)
