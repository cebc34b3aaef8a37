"""Check JSON Schemas, and check whether JSON values match them, with the package jsonschema."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

Schema = dict[str, Any]
"""A JSON Schema of the draft that its `$schema` names; of 2020-12 without that key."""


def check_schema(schema: Schema) -> None:
    """Raise ValueError, with the place, if a schema is invalid or refers to another document."""
    if not isinstance(schema, dict) or not isinstance(schema.get("$schema", ""), str):
        raise ValueError("not a JSON Schema: it must be an object whose $schema, if any, is text")
    if mistake := _find_mistake(_serialize(schema)):
        raise ValueError(mistake)


def matches_schema(value: Any, schema: Schema) -> bool:
    """Whether a value matches a schema that `check_schema` accepts.

    A value on which the validator fails does not match: a schema may refer to itself without end,
    and `multipleOf` cannot divide 1e999.
    """
    try:
        return _get_validator(_serialize(schema)).is_valid(value)
    except (RecursionError, OverflowError):
        return False


def iterate_errors(value: Any, schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Yield (keyword of the schema, place, message) where a value does not match a schema.

    `check_schema` must accept the schema. Nothing is yielded where the validator fails.
    """
    with suppress(RecursionError, OverflowError):
        for error in _get_validator(_serialize(schema)).iter_errors(value):
            yield error.validator, error.json_path, error.message


@cache
def _find_mistake(serialized: str) -> str:
    """Return the first mistake in a schema; "" if there is none."""
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    schema = json.loads(serialized)
    try:
        type(_get_validator(serialized)).check_schema(schema)
    except SchemaError as error:
        return f"not a JSON Schema: {error.json_path}: {error.message}"
    resolver = Registry().resolver_with_root(DRAFT202012.detect(schema).create_resource(schema))
    for reference in _iterate_references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return f"$ref: {reference} is not in the schema itself"
    return ""


def _iterate_references(schema: Any) -> Iterator[str]:
    """Yield the targets of all `$ref` and `$dynamicRef` in a schema."""
    if isinstance(schema, dict):
        yield from (
            schema[key] for key in ("$ref", "$dynamicRef") if isinstance(schema.get(key), str)
        )
        schema = list(schema.values())
    for child in schema if isinstance(schema, list) else ():
        yield from _iterate_references(child)


def _serialize(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)


@cache
def _get_validator(serialized: str) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    schema = json.loads(serialized)
    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
