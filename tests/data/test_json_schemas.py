"""JSON Schemas: which ones are accepted, and which values match them."""

from typing import Any

import pytest

from lockstep.data import json_schemas


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "dict"}, r"\$\.type: 'dict' is not valid"),
        ({"properties": {"a": {"pattern": "("}}}, "is not a 'regex'"),
        ({"$ref": "#/$defs/none"}, "#/\\$defs/none is not in the schema itself"),
        ({"$ref": "https://example.com/a.json"}, "a.json is not in the schema itself"),
        ({"allOf": [{"$dynamicRef": "other.json"}]}, "other.json is not in the schema itself"),
        ({"$schema": 3}, "it must be an object whose \\$schema"),
    ],
)
def test_a_mistake_in_a_schema_is_refused_with_its_place(
    schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        json_schemas.check_schema(schema)


def test_a_value_that_no_validator_can_decide_does_not_match() -> None:
    circle = {"properties": {"a": {"$ref": "#/properties/a"}}}
    json_schemas.check_schema(circle)
    assert not json_schemas.matches_schema({"a": 1}, circle)
    assert not json_schemas.matches_schema(float("1e999"), {"multipleOf": 0.01})


def test_a_schema_of_an_older_draft_follows_that_draft() -> None:
    old = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "exclusiveMinimum": True,
        "minimum": 1,
    }
    json_schemas.check_schema(old)
    assert not json_schemas.matches_schema(1, old)
    assert json_schemas.matches_schema(2, old)
