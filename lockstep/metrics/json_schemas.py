"""Whether a JSON value keeps a JSON Schema, by jsonschema."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from lockstep.metrics import json_answers
from lockstep.metrics.scores import Score

Schema = dict[str, Any]
"""A JSON Schema of the draft that its `$schema` names, of 2020-12 where it names none."""


def check(schema: Schema) -> None:
    """ValueError, with the place, where it is no schema or refers to what is not in it."""
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    if not isinstance(schema, dict) or not isinstance(schema.get("$schema", ""), str):
        raise ValueError("no JSON Schema: neither an object nor one with a text for $schema")
    try:
        type(_validator(_text(schema))).check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"no JSON Schema: {error.json_path}: {error.message}") from None
    resolver = Registry().resolver_with_root(DRAFT202012.detect(schema).create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise ValueError(f"$ref: {reference} is not in the schema itself") from None


def fits(value: Any, schema: Schema) -> bool:
    """Whether a value keeps a schema that `check` accepts; not where nobody can tell."""
    try:
        return _validator(_text(schema)).is_valid(value)
    except (RecursionError, OverflowError):  # a schema that turns in circles; 1e999 as a multiple
        return False


def kept_by(schema: Schema) -> Score:
    """The score of an answer that is JSON and keeps the schema."""

    def score(reference: str, prediction: str) -> float:
        value = json_answers.parse_json(prediction)
        return float(value is not json_answers.INVALID and fits(value, schema))

    return score


def _references(schema: Any) -> Iterator[str]:
    """What all references below name."""
    if isinstance(schema, dict):
        yield from (
            schema[key] for key in ("$ref", "$dynamicRef") if isinstance(schema.get(key), str)
        )
        schema = list(schema.values())
    for inner in schema if isinstance(schema, list) else ():
        yield from _references(inner)


def _text(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)


@cache
def _validator(text: str) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    schema = json.loads(text)
    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
