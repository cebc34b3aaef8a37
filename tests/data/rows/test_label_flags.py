"""Labels as a 0 or 1 for each are read by name, and what may be something else is rejected."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.data.examples import make_source
from tests.data.rows.test_row_formats import find_reason, parse_row
from tests.data.test_source_reading import find_error, read

TOXIC = {"text": "Go away", "rude": 1, "threat": 0, "odd": 1}
NAMES = ["rude", "threat", "odd"]


def read_answer(row: dict[str, Any], format: str = "multi_label", **settings: Any) -> str:
    return str(parse_row(format, row, **settings).messages[-1]["content"])


@pytest.mark.parametrize(
    "flags", [(1, 0, 1), ("1", "0", "1"), (1.0, "0.0", "True"), (True, False, True)]
)
def test_each_column_with_a_one_is_a_label(flags: tuple[Any, ...]) -> None:
    row = {"text": "Go away", **dict(zip(NAMES, flags, strict=True)), "labels": ["not read"]}
    assert read_answer(row, label_columns=NAMES) == '["odd","rude"]'
    assert read_answer(row, label_columns=["threat"]) == "[]"
    names = {"rude": "insult", "threat": "menace", "odd": "other"}
    assert read_answer(row, label_columns=NAMES, label_names=names) == '["insult","other"]'


@pytest.mark.parametrize("value", [-1, "", None, 0.4, "x", [1]])
def test_a_value_that_is_no_flag_rejects_the_row(value: Any) -> None:
    """Jigsaw's file of test labels has -1 for rows that nobody labelled."""
    row = TOXIC | {"threat": value}
    assert find_reason("multi_label", row, label_columns=NAMES) == "label_not_0_or_1"


def test_classification_needs_exactly_one() -> None:
    assert read_answer(TOXIC | {"odd": 0}, "classification", label_columns=NAMES) == "rude"
    assert find_reason("classification", TOXIC, label_columns=NAMES) == "several_labels"
    none = TOXIC | {"rude": 0, "odd": 0}
    assert find_reason("classification", none, label_columns=NAMES) == "no_label"


def test_an_object_has_a_flag_for_each_label() -> None:
    """BeaverTails has such a column of truth values."""
    row = {"text": "Go away", "kind": {"rude": True, "threat": False, "odd": True}}
    assert read_answer(row, columns={"labels": "kind"}) == '["odd","rude"]'
    cell = row | {"kind": '{"rude": 0, "threat": 1}'}
    assert read_answer(cell, columns={"labels": "kind"}) == '["threat"]'
    columns = {"label": "kind"}
    assert find_reason("classification", row, columns=columns) == "several_labels"
    assert read_answer(row | {"kind": {"rude": 1}}, "classification", columns=columns) == "rude"


@pytest.mark.parametrize(
    ("labels", "label_names", "answer"),
    [
        ([0, 1, 1], ["a", "b", "c"], '["b","c"]'),
        ("0,1,1", ["a", "b", "c"], '["b","c"]'),
        ([True, False], ["a", "b"], '["a"]'),
        ([1, 0], ["a", "b", "c"], '["a","b"]'),  # codes
        ([0, 0, 0], ["a", "b", "c"], "[]"),
        ([0, 1, 0], [], "labels_are_flags"),
        ([0, 1, 0], ["a", "b"], "labels_are_flags"),
        ([0, 1], ["a", "b"], "labels_are_flags"),  # both labels as codes, or the second one
        ([True, False], [], "labels_are_flags"),
    ],
)
def test_a_list_of_flags_needs_the_names(labels: Any, label_names: list[str], answer: str) -> None:
    row = {"text": "Go away", "labels": labels}
    if answer.startswith("["):
        assert read_answer(row, label_names=label_names) == answer
    else:
        assert find_reason("multi_label", row, label_names=label_names) == answer


def test_elements_of_a_list_may_be_label_columns() -> None:
    settings: dict[str, Any] = {
        "label_columns": ["labels.0", "labels.1"],
        "label_names": {"labels.0": "a", "labels.1": "b"},
    }
    row = {"text": "Go away", "labels.0": 0, "labels.1": 1}
    assert read_answer(row, **settings) == '["b"]'


def test_the_setting_is_proposed_with_all_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "id,text,checked,rude,hate speech,8ball,seen\n7,Go away,True,1,0,0,0\n8,Hi,False,0,0,0,0\n"
    )
    source: dict[str, Any] = {"path": "a.csv", "format": "multi_label", "slices": ["seen"]}
    error = find_error(tmp_path, source)
    setting = 'label_columns: [rude, hate speech, "8ball"]'
    assert error.endswith(f": set {setting} in prepare.sources")
    single = source | {"format": "classification"}
    assert f"set format: multi_label and {setting}" in find_error(tmp_path, single)
    names = ["rude", "hate speech", "8ball"]
    records, rejected, (report,) = read(tmp_path, source | {"label_columns": names})
    assert [record.answer for record in records] == ['["rude"]', "[]"] and not rejected
    assert report.unknown_columns == ["checked", "id"]


def test_a_missing_label_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,rude,threat\nGo away,1,0\n")
    source = {"path": "a.csv", "format": "multi_label", "label_columns": ["rude", "treat"]}
    assert "no column treat" in find_error(tmp_path, source)


@pytest.mark.parametrize(
    ("format", "settings"),
    [("messages", {}), ("multi_label", {"columns": {"labels": "kind"}})],
)
def test_label_columns_fit_no_other_setting(format: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="label_columns: "):
        make_source(format, label_columns=["a"], **settings)
