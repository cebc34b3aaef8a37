"""Parsing of tool calls and of the functions that an assistant may call."""

from typing import Any

from lockstep.data import tool_schemas
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields

ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
"""Keys of a call that may hold its arguments."""

_CALL_KEYS = frozenset(["name", "id", "call_id", "type", "index", "status", *ARGUMENT_KEYS])


def parse_tool_calls(value: Any) -> list[dict[str, Any]]:
    """Return tool calls in the form that chat templates read, with arguments as an object."""
    if isinstance(value, str):
        value = row_fields.parse_json(value, "tool_call")
    calls = [_parse_call(call) for call in (value if isinstance(value, list) else [value])]
    if not calls:
        raise InvalidRowError("tool_call_without_name", detail="the list of calls is empty")
    return calls


def is_call(value: dict[str, Any]) -> bool:
    """Whether an object is a call: it has a name and arguments, and no other keys."""
    function = value.get("function", value)
    return (
        isinstance(function, dict)
        and isinstance(function.get("name"), str)
        and any(key in function for key in ARGUMENT_KEYS)
        and function.keys() <= _CALL_KEYS
    )


def parse_tools(value: Any) -> list[dict[str, Any]]:
    """Return tool definitions in OpenAI's form; bare functions are wrapped.

    The list, and each function in it, may be JSON text.
    Anthropic's `input_schema` becomes `parameters`, and parameters without `properties` around them
    become JSON Schema, since chat templates look for the properties.
    """
    if isinstance(value, str):
        value = row_fields.parse_json(value, "tools")
    tools = []
    for tool in value if isinstance(value, list) else [value] if value is not None else []:
        if isinstance(tool, str):
            tool = row_fields.parse_json(tool, "tools")
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InvalidRowError(
                "tool_without_name", detail=f"a tool is {show_value(tool)}; it needs a name"
            )
        row_fields.check_all_texts(function)
        if "input_schema" in function and "parameters" not in function:
            function = {
                "parameters" if key == "input_schema" else key: child
                for key, child in function.items()
            }
        if function.get("parameters") and tool_schemas.is_bare_map(function["parameters"]):
            parameters = tool_schemas.complete_parameters(function["parameters"])
            function = {**function, "parameters": parameters}
        tools.append({"type": "function", "function": function})
    return tools


def parse_arguments(value: Any) -> dict[str, Any]:
    """Return the arguments of a call; JSON text is parsed, null and a blank text mean none."""
    if isinstance(value, str):
        value = row_fields.parse_json(value, "tool_call_arguments") if value.strip() else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRowError(
            "tool_call_arguments_not_an_object", detail=f"the arguments are {show_value(value)}"
        )
    return value


def _parse_call(call: Any) -> dict[str, Any]:
    """Return a call in OpenAI's form; `call` may be the function itself."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InvalidRowError(
            "tool_call_without_name", detail=f"a call is {show_value(call)}; it needs a name"
        )
    members = {**call, **function} if function is not call else call
    for key, child in members.items():
        if key not in _CALL_KEYS and key != "function" and child is not None:
            raise InvalidRowError(
                "unknown_tool_call_key",
                detail=f"the key {key!r} of a call holds {show_value(child)}",
            )
    keys = [key for key in ARGUMENT_KEYS if function.get(key) is not None]
    if len(keys) > 1:
        raise InvalidRowError("two_tool_call_arguments", detail=f"a call has {' and '.join(keys)}")
    arguments = parse_arguments(function[keys[0]]) if keys else {}
    row_fields.check_all_texts([function["name"], arguments])
    call_id = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    parsed = {"name": function["name"], "arguments": arguments}
    return {**call_id, "type": "function", "function": parsed}
