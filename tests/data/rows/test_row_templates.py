"""Templates build texts from columns; nested values become columns."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows.row_templates import DerivedColumns, list_columns, parse_template


def fill(text: str, row: dict[str, Any]) -> str:
    filled: str = DerivedColumns([], {"prompt": text}).add_to(row)["prompt"]
    return filled


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Department: {department}\n{ask}", "Department: surgery\nWhy {x}?"),
        ("{age} {smokes} {share}", "62 true 3"),
        ("{{ {ask} }}", "{ Why {x}? }"),
        ("{odd name}: {meta.lang}", "o: de"),
        ("{spans}", '[{"slot": "città"}]'),
        ("{empty}.", "."),
        ("Name the intent.", "Name the intent."),
    ],
)
def test_a_template_is_filled_with_columns(text: str, filled: str) -> None:
    row = {
        "department": "surgery", "ask": "Why {x}?", "age": 62, "smokes": True, "share": 3.0,
        "odd name": "o", "meta": {"lang": "de"}, "spans": [{"slot": "città"}], "empty": "",
    }  # fmt: skip
    assert fill(text, row) == filled


def test_a_row_without_a_column_is_rejected_by_its_name() -> None:
    with pytest.raises(InvalidRowError, match=r"^missing_department$"):
        fill("{department}", {"ask": "Why?"})
    with pytest.raises(InvalidRowError, match=r"^ask_is_null$"):
        fill("{ask}", {"ask": None})


def test_templates_read_the_row_as_it_was() -> None:
    derived = DerivedColumns([], {"prompt": "Q: {prompt}", "completion": "{prompt}"})
    assert derived.add_to({"prompt": "a"}) == {"prompt": "Q: a", "completion": "a"}


@pytest.mark.parametrize("text", ["{", "a }", "{}", "{a!r}", "{a:>10}", "{a{b}}"])
def test_only_columns_may_stand_in_braces(text: str) -> None:
    with pytest.raises(ValueError, match=r"write \{\{ for a brace"):
        parse_template(text)


def test_attributes_are_not_read() -> None:
    assert list_columns("{a.__class__} {b[0]}") == ["a.__class__", "b[0]"]
    with pytest.raises(InvalidRowError, match=r"missing_a\.__class__"):
        fill("{a.__class__}", {"a": 1})


def test_nested_columns_are_added_if_they_exist() -> None:
    derived = DerivedColumns(["answers.text.0", "answer"], {})
    row: dict[str, Any] = {"answers": {"text": ["Paris"]}}
    assert derived and derived.add_to(row) == {**row, "answers.text.0": "Paris"}
    assert derived.add_to({"answers": {"text": []}}) == {"answers": {"text": []}}
    assert not DerivedColumns(["answer"], {})
