import pytest
from pydantic import ValidationError

from lockstep.human import rating_items
from tests.human.answers import answered, new, old, settings


def test_an_answer_is_one_item_for_all_variants_that_gave_it() -> None:
    found = rating_items.collect(answered())
    assert found[old(1)].variants == ("base",)
    assert found[new(1)].variants == ("merged", "quantized")
    assert found[new(4)].variants == ("merged",)
    assert found[new(1)].question == "Where is order 1?"
    assert found[new(1)].answer == "It comes on day 1."
    assert sum(item.task == "reply" for item in found.values()) == 12 + 12 + 3
    assert "dpo" not in {item.task for item in found.values()}, "no suite has it"


def test_a_code_is_of_record_and_answer_and_no_number_to_a_spreadsheet() -> None:
    """The digits are those of `printf 'r1\\nIt left on day 1.' | sha256sum`."""
    assert old(1) == "a6098cf108766"
    assert old(1) != rating_items.code("r2", "It left on day 1.") != old(2)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"variants": []}, "at least 1 item"),
        ({"suites": ["reply", "reply"]}, "suites: name each once"),
        ({"variants": ["base", "base"]}, "variants: name each once"),
        ({"variants": ["teacher"]}, "'base', 'merged' or 'quantized'"),
        ({"records": 0}, "greater than 0"),
        ({"raters": 0}, "greater than 0"),
        ({"dimensions": {}}, "at least 1 item"),
        ({"dimensions": {"Good tone": "?"}}, "should match pattern"),
        ({"dimensions": {"comment": "?"}}, "dimensions: comment is a column of its own; rename it"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_make_no_sheet_are_named(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        settings(**changes)
