"""The strict parser names what other parsers accept silently, and reads everything else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "invalid_json"),
        ("", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("[" * 900 + "]" * 900, "nested_too_deeply"),
        ('{"a":' * 102 + "1" + "}" * 102, "nested_too_deeply"),
        ('{"a": NaN}', "nan_or_infinity"),
        ('{"a": [-Infinity]}', "nan_or_infinity"),
        ('{"a": 1, "a": 2}', "duplicate_keys"),
        ('{"a":1,"b":{"c":1,"c":1}}', "duplicate_keys"),
        ('{"a" : 1, "a" : 2}', "duplicate_keys"),
        ('{"a":"\\":", "b" : 1, "b" : 2}', "duplicate_keys"),
        ('{"x": [{"a": 1, "\\u0061": 2}]}', "duplicate_keys"),
    ],
)
def test_invalid_json_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRowError, match=f"^{reason}$"):
        strict_json.parse(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.just('":'),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(VALUES, st.sampled_from([None, 1]), st.sampled_from([(",", ":"), (", ", ": "), (",", " :")]))
def test_valid_json_is_read_as_it_was_written(
    value: object, indent: int | None, separators: tuple[str, str]
) -> None:
    text = json.dumps(value, indent=indent, separators=separators)
    assert strict_json.parse(text) == value
