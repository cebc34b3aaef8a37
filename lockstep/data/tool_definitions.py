"""Functions that an assistant may call, and its calls, as chat templates read them."""

from typing import Any

from lockstep.data import fields
from lockstep.data.rejection import UnfitError


def calls(value: Any) -> list[dict[str, Any]]:
    """Tool calls as chat templates read them, arguments as an object."""
    if isinstance(value, str):
        value = fields.parsed(value, "tool_call")
    found = []
    for call in value if isinstance(value, list) else [value]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UnfitError("tool_call_without_name")
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            arguments = fields.parsed(arguments, "tool_call_arguments")
        if not isinstance(arguments, dict):
            raise UnfitError("tool_call_arguments_not_an_object")
        fields.check_texts([function["name"], arguments])
        known = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
        named = {"name": function["name"], "arguments": arguments}
        found.append({**known, "type": "function", "function": named})
    if not found:
        raise UnfitError("tool_call_without_name")
    return found


def functions(value: Any) -> list[dict[str, Any]]:
    """Functions that may be called, as OpenAI wraps them or bare."""
    if isinstance(value, str):
        value = fields.parsed(value, "tools")
    found = []
    for tool in value if isinstance(value, list) else [value]:
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UnfitError("tool_without_name")
        fields.check_texts(function)
        found.append({"type": "function", "function": function})
    return found
