"""Columns are found by nested paths, and their values are written as text."""

from datetime import date
from typing import Any

import pytest

from lockstep.data.rows.column_values import (
    MISSING,
    find_value,
    normalize_name,
    write_any_text,
    write_text,
)

ROW = {
    "answers": {"text": ["Paris", "the city"], "start": []},
    "meta.lang": "literal",
    "meta": {"lang": "nested"},
    "cell": '{"labels": [{"name": "refund"}]}',
    "text": "plain",
    "none": None,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("text", "plain"),
        ("answers.text.0", "Paris"),
        ("answers.text.-1", "the city"),
        ("meta.lang", "literal"),
        ("cell.labels.0.name", "refund"),
        ("none", None),
        ("answers.text.2", MISSING),
        ("answers.start.0", MISSING),
        ("answers.text.first", MISSING),
        ("answers.end", MISSING),
        ("text.0", MISSING),
        ("none.a", MISSING),
        ("absent.a", MISSING),
    ],
)
def test_a_path_leads_into_lists_objects_and_json(path: str, value: Any) -> None:
    assert find_value(ROW, path) is value or find_value(ROW, path) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (3.0, "3"), (0.5, "0.5"), (True, "true"), (False, "false"), (2**70, str(2**70)),
        (date(2024, 2, 29), "2024-02-29"), (1e300, "1e+300"), (float("nan"), None), (None, None),
        ([1], None), ({}, None),
    ],
)  # fmt: skip
def test_simple_values_are_written_as_text(value: Any, text: str | None) -> None:
    assert write_text(value) == text


def test_lists_and_objects_are_written_as_json() -> None:
    assert write_any_text([{"type": "城市", "at": 1}]) == '[{"type": "城市", "at": 1}]'


def test_names_that_look_alike_are_equal() -> None:
    assert normalize_name("\u00a0Cafe\u0301\u3000 bar\t") == "Café bar"
