"""Parameters of functions: other names of types are read, and valid schemas stay as they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import json_schemas, tool_schemas

LAMP: dict[str, Any] = {
    "type": "dict",
    "properties": {
        "watts": {"type": "float", "description": "Power"},
        "rooms": {"type": "tuple", "items": {"type": "String"}},
        "owner": {"type": "HashMap"},
        "id": {"type": "long"},
        "note": {"type": "any"},
    },
    "required": ["watts"],
}


@pytest.mark.parametrize(
    ("arguments", "is_right"),
    [
        ({"watts": 4.5, "rooms": ["hall"], "owner": {"name": "Bo"}, "id": 3, "note": [1]}, True),
        ({"watts": 4}, True),
        ({"watts": "4"}, False),
        ({"watts": 4, "rooms": "hall"}, False),
        ({"watts": 4, "rooms": [1]}, False),
        ({"watts": 4, "owner": []}, False),
        ({"watts": 4, "id": 3.5}, False),
        ({"rooms": []}, False),
    ],
)
def test_types_of_public_files_are_those_of_json_schema(
    arguments: dict[str, Any], is_right: bool
) -> None:
    schema = tool_schemas.normalize_parameters(LAMP)
    json_schemas.check_schema(schema)
    assert json_schemas.matches_schema(arguments, schema) == is_right


@pytest.mark.parametrize(
    ("parameters", "right", "wrong"),
    [
        ({"city": {"type": "str, optional", "title": "t"}}, {"city": "Bern"}, {"city": 1}),
        ({"type": {"type": "int", "description": "kind"}}, {"type": 1}, {"type": "a"}),
        ({"properties": {"n": {"type": "List[float]"}}}, {"n": [1]}, {"n": 1}),
        ({"properties": {"n": {"type": "Optional[int]"}}}, {"n": None}, {"n": "a"}),
        ({"properties": {"n": {"type": "integer", "nullable": True}}}, {"n": None}, {"n": "a"}),
        ({"properties": {"n": "string"}}, {"n": "a"}, {"n": 1}),
        ({"properties": {"n": {"type": "int", "required": True}}}, {"n": 1}, {}),
        ({"properties": {"n": {"oneOf": [{"type": "bool"}, "dict"]}}}, {"n": True}, {"n": 1}),
        ({"type": "dict", "properties": {"n": {"type": "int"}}, "required": None}, {}, {"n": "a"}),
        ({"properties": {"n": {"type": ["String", "null"]}}}, {"n": None}, {"n": 1}),
    ],
)  # fmt: skip
def test_other_ways_to_write_parameters_are_read(
    parameters: dict[str, Any], right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    schema = tool_schemas.normalize_parameters(parameters)
    json_schemas.check_schema(schema)
    assert json_schemas.matches_schema(right, schema)
    assert not json_schemas.matches_schema(wrong, schema)


@pytest.mark.parametrize(
    "parameters",
    [
        None, "none", [], {},
        {"type": "object", "properties": {"n": {"type": "Widget", "minimum": "5", "pattern": "("}}},
        {"properties": {"n": {"enum": "a, b", "description": ["text"], "items": [1]}}},
        {"properties": None, "required": "n", "additionalProperties": None},
    ],
)  # fmt: skip
def test_what_cannot_be_read_restricts_nothing(parameters: Any) -> None:
    schema = tool_schemas.normalize_parameters(parameters)
    json_schemas.check_schema(schema)
    assert json_schemas.matches_schema({"n": "any text"}, schema)


JSON_SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])}
        ),
        st.fixed_dictionaries({"enum": st.lists(st.integers() | st.text(), min_size=1)}),
        st.fixed_dictionaries(
            {"type": st.just("string"), "minLength": st.integers(0, 9), "description": st.text()}
        ),
    ),
    lambda children: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": children}),
        st.fixed_dictionaries({"anyOf": st.lists(children, min_size=1, max_size=3)}),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(st.text(max_size=4), children, max_size=3),
                "required": st.lists(st.text(max_size=4), unique=True, min_size=1, max_size=2),
                "additionalProperties": st.booleans() | children,
            }
        ),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON_SCHEMAS, max_size=3))
def test_a_json_schema_stays_as_it_is(properties: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties}
    assert tool_schemas.normalize_parameters(schema) == schema


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "properties", "items", "required", "enum", "anyOf", "n", "const",
                         "pattern", "minimum", "maxItems", "title", "not", "$defs", "format"]),
        children, max_size=4,
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_a_file_holds_becomes_a_valid_schema(parameters: Any) -> None:
    json_schemas.check_schema(tool_schemas.normalize_parameters(parameters))
