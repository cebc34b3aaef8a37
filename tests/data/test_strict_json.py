"""What two parsers would read differently is named; the fast path agrees with the careful one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import strict_json
from lockstep.data.rejection import UnfitError


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
def test_what_is_no_strict_json_is_named(text: str, reason: str) -> None:
    with pytest.raises(UnfitError, match=f"^{reason}$"):
        strict_json.parse(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.just('":'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 1]), st.sampled_from([(",", ":"), (", ", ": "), (",", " :")]))
def test_json_is_read_as_it_was_written(
    value: object, indent: int | None, separators: tuple[str, str]
) -> None:
    text = json.dumps(value, indent=indent, separators=separators)
    assert strict_json.parse(text) == value
