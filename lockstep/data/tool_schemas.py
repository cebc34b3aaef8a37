"""Read the parameters of a function as JSON Schema, whatever names a file has for their types.

Public files write `dict`, `float`, `tuple` or Java's `HashMap`, leave out `properties`, or put
`required: true` into a parameter. Records keep the text of the file, which the model sees; its
arguments are checked by the schema that `normalize_parameters` returns.
"""

import re
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

_TYPES = {
    **dict.fromkeys(("object", "dict", "dictionary", "map", "hashmap", "record"), "object"),
    **dict.fromkeys(("array", "list", "arraylist", "tuple", "set", "sequence"), "array"),
    **dict.fromkeys(("string", "str", "text", "char", "character", "enum"), "string"),
    **dict.fromkeys(("integer", "int", "long", "short", "byte", "bigint"), "integer"),
    **dict.fromkeys(("number", "float", "double", "decimal"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("null", "none", "nonetype"), "null"),
}
"""Names of types in lower case and the types of JSON Schema. A value of any other type, such as
`any` or a class, is not restricted."""

_NAME = re.compile(r"\s*(?:optional\[)?(\w+)", re.IGNORECASE)
"""Name of a type in a text such as `List[int]`, `str, optional` or `Optional[float]`."""

_OPTIONAL = re.compile(r"\boptional\b", re.IGNORECASE)
_ITEMS = re.compile(r"\s*(?:optional\[)?(?:list|set|sequence)\[(\w+)", re.IGNORECASE)
"""Type of the items in a text such as `List[str]`."""

_CHILDREN = ("items", "additionalProperties", "not", "contains", "if", "then", "else")
_CHILD_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_CHILD_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

_NUMBER_KEYWORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNT_KEYWORDS = (
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    "minContains", "maxContains",
)  # fmt: skip
_TEXT_KEYWORDS = (
    "title", "description", "format", "$comment", "$ref", "$id", "$anchor", "$schema",
    "contentEncoding", "contentMediaType", "$dynamicRef", "$dynamicAnchor",
)  # fmt: skip
_FLAG_KEYWORDS = ("deprecated", "readOnly", "writeOnly", "uniqueItems")


def normalize_parameters(parameters: Any) -> Schema:
    """Return the parameters of a function as JSON Schema; {}, without restrictions, if unknown.

    A map of names and parameters, without `properties` around them, is read as such.
    """
    if not isinstance(parameters, dict):
        return {}
    if is_bare_map(parameters):
        parameters = {"type": "object", "properties": parameters}
    return _normalize(parameters)


def find_type(schema: Any) -> str | None:
    """Return the type of a schema; None if it has none or several."""
    name = _normalize(schema).get("type") if isinstance(schema, dict) else None
    return name if isinstance(name, str) else None


def is_bare_map(parameters: Any) -> bool:
    """Whether all values are schemas, so that the keys can only be names of parameters."""
    return (
        isinstance(parameters, dict)
        and "properties" not in parameters
        and all(
            isinstance(value, dict) and not value.keys().isdisjoint(("type", "description"))
            for value in parameters.values()
        )
    )


def complete_parameters(parameters: Schema) -> Schema:
    """Return a map of names and parameters, as xlam-function-calling has it, as JSON Schema.

    A parameter is required if it has no default value and its type is not optional.
    """
    properties = {name: _normalize_child(child) for name, child in parameters.items()}
    required = [
        name
        for name, child in parameters.items()
        if "default" not in child
        and child.get("required") is not False
        and not _OPTIONAL.search(str(child.get("type")))
    ]
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _normalize(schema: Schema) -> Schema:
    result: Schema = {
        key: value for key, value in schema.items() if _IS_USABLE.get(key, _is_known)(value)
    }
    for key in _CHILDREN:
        if key in result:
            result[key] = _normalize_child(result[key])
    for key in _CHILD_LISTS:
        if key in result:
            result[key] = [_normalize_child(child) for child in result[key]]
    for key in _CHILD_MAPS:
        if key in result:
            result[key] = {name: _normalize_child(child) for name, child in result[key].items()}
    _set_required(result, schema)
    _set_type(result, schema)
    return result


def _normalize_child(child: Any) -> Any:
    """Return a schema inside another one; a bare text is the name of its type."""
    if isinstance(child, bool):
        return child
    if isinstance(child, str):
        child = {"type": child}
    return _normalize(child) if isinstance(child, dict) else {}


def _set_required(result: Schema, schema: Schema) -> None:
    """Set the names of required parameters; a parameter may say `required: true` itself."""
    names = schema.get("required")
    required = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required += [
            name
            for name, child in properties.items()
            if isinstance(child, dict) and child.get("required") is True
        ]
    result.pop("required", None)
    if required:
        result["required"] = list(dict.fromkeys(required))


def _set_type(result: Schema, schema: Schema) -> None:
    """Set the types of JSON Schema; without one for each name, a value may have any type."""
    names = schema.get("type")
    names = names if isinstance(names, list) else [names]
    types = [_find_json_type(name) for name in names]
    result.pop("type", None)
    if None in types or not types:
        return
    if schema.get("nullable") is True or any(str(name).startswith("Optional") for name in names):
        types.append("null")
    items = _ITEMS.match(names[0]) if len(names) == 1 else None
    if items and "items" not in result and (kind := _find_json_type(items[1])):
        result["items"] = {"type": kind}
    unique = list(dict.fromkeys(types))
    result["type"] = unique[0] if len(unique) == 1 else unique


def _find_json_type(name: Any) -> str | None:
    match = _NAME.match(name) if isinstance(name, str) else None
    return _TYPES.get(match[1].lower()) if match else None


def _is_known(value: Any) -> bool:
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def _is_instance(*classes: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, classes)


_IS_USABLE: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_NUMBER_KEYWORDS, _is_number),
    **dict.fromkeys(_COUNT_KEYWORDS, _is_count),
    **dict.fromkeys(_TEXT_KEYWORDS, _is_instance(str)),
    **dict.fromkeys(_FLAG_KEYWORDS, _is_instance(bool)),
    **dict.fromkeys(_CHILDREN, _is_instance(dict, bool, str)),
    **dict.fromkeys(_CHILD_LISTS, lambda value: isinstance(value, list) and bool(value)),
    **dict.fromkeys(_CHILD_MAPS, _is_instance(dict)),
    **dict.fromkeys(("enum", "examples"), _is_instance(list)),
    "pattern": _is_pattern,
    "type": _is_instance(str, list),
    "required": _is_instance(list),
}
"""Keyword of JSON Schema -> whether its value has the right type; others are left out."""
