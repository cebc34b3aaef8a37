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


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993.0",
        "0.12345678901234567890",
        "-123456789012345678901.5",
        "1e400",
        "-1e400",
        "1e-400",
        "1" * 5000,
    ],
)
def test_a_number_that_would_be_rounded_is_refused(text: str) -> None:
    for value in (text, f'{{"a": [{text}]}}'):
        with pytest.raises(InvalidRowError, match=r"^number_not_exact$"):
            strict_json.parse(value)


@pytest.mark.parametrize(
    "text",
    ["18446744073709551616", "-123456789012345678901234", "9" * 4000, "9223372036854775808"],
)
def test_a_long_integer_is_exact(text: str) -> None:
    assert strict_json.parse(f'{{"a": [{text}], "b": "x"}}') == {"a": [int(text)], "b": "x"}


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 25))
def test_a_float_is_read_in_every_form_in_which_it_is_printed(value: float, digits: int) -> None:
    assert strict_json.parse(repr(value)) == value
    for text in (f"{value:.17g}", f"{value:.{17 + digits}e}"):
        assert float(strict_json.parse(text)) == value


@pytest.mark.parametrize("text", ["0.10000000000000001", "1.00000000000000000000", "0e999"])
def test_surplus_digits_of_a_float_are_no_fault(text: str) -> None:
    assert strict_json.parse(text) == float(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just('":'),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(VALUES, st.sampled_from([None, 1]), st.sampled_from([(",", ":"), (", ", ": "), (",", " :")]))
def test_valid_json_is_read_as_it_was_written(
    value: object, indent: int | None, separators: tuple[str, str]
) -> None:
    text = json.dumps(value, indent=indent, separators=separators)
    assert strict_json.parse(text) == value
