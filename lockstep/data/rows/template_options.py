"""Options that a row passes to its chat template, in the column chat_template_kwargs of SmolTalk2.

Its instructions are the system message and its lists of tools the tools of the row. Others, such as
enable_thinking, have no place in a record and are noted.
"""

from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields, row_notes, tool_parsing
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source

COLUMN = row_notes.TEMPLATE_OPTIONS
_SYSTEM = "custom_instructions"
_TOOLS = ("tools", "xml_tools", "python_tools")


def read_options(parsed: Conversation, row: Row, source: Source) -> None:
    """Add the system message and the tools among the options to a conversation; note the others.

    A system turn of the conversation counts, and not the instructions beside it.
    """
    if COLUMN not in row or not source.is_conversational or COLUMN in source.ignored_fields:
        return
    options = _parse_options(row[COLUMN])
    system = options.pop(_SYSTEM, None)
    first = parsed.messages[0]
    if isinstance(system, str) and system.strip():
        if first["role"] != "system":
            text = row_fields.check_characters(system)
            parsed.messages.insert(0, {"role": "system", "content": text})
        elif first["content"].strip() != system.strip():
            options[_SYSTEM] = system
    names = [name for name in _TOOLS if options.get(name)]
    if names and not parsed.tools:
        parsed.tools = tool_parsing.parse_tools(_parse_tools(options.pop(names[0])))
    if options:
        shown = ", ".join(f"{name}: {show_value(value, 40)}" for name, value in options.items())
        parsed.notes[row_notes.TEMPLATE_OPTIONS] = shown


def _parse_options(value: Any) -> dict[str, Any]:
    """Return the options that hold something."""
    if isinstance(value, str) and value.strip():
        value = row_fields.parse_json(value, COLUMN)
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise InvalidRowError(f"{COLUMN}_not_an_object", detail=f"it is {show_value(value)}")
    return {name: child for name, child in value.items() if not row_fields.is_empty(child)}


def _parse_tools(value: Any) -> Any:
    """Return tools, of which a list may hold each as a JSON text."""
    if not isinstance(value, list):
        return value
    return [
        row_fields.parse_json(tool, "tools") if isinstance(tool, str) else tool for tool in value
    ]
