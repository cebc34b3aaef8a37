"""Items are the different answers to each record, and invalid params are refused."""

import pytest
from pydantic import ValidationError

from lockstep.human.human_params import HumanParams
from lockstep.human.rating_items import collect_items, make_code
from tests.human.answers import make_base_code, make_merged_code, make_params, make_predictions


def test_variants_with_the_same_answer_share_an_item() -> None:
    items = collect_items(make_predictions())
    assert items[make_base_code(1)].variants == ("base",)
    assert items[make_merged_code(1)].variants == ("merged", "quantized")
    assert items[make_merged_code(4)].variants == ("merged",)
    assert items[make_merged_code(1)].question == "Where is order 1?"
    assert items[make_merged_code(1)].answer == "It comes on day 1."
    assert sum(item.task == "reply" for item in items.values()) == 12 + 12 + 3
    assert "dpo" not in {item.task for item in items.values()}, "dpo belongs to no suite"


def test_a_code_depends_on_record_and_answer_and_starts_with_a_letter() -> None:
    """The digits come from `printf 'r1\\nIt left on day 1.' | sha256sum`."""
    assert make_base_code(1) == "a6098cf108766"
    assert make_base_code(1) != make_code("r2", "It left on day 1.") != make_base_code(2)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"variants": []}, "at least 1 item"),
        ({"suites": ["reply", "reply"]}, "suites: an entry is repeated; name each once"),
        ({"variants": ["base", "base"]}, "variants: an entry is repeated; name each once"),
        ({"variants": ["teacher"]}, "'base', 'merged' or 'quantized'"),
        ({"records": 0}, "greater than 0"),
        ({"raters": 0}, "greater than 0"),
        ({"dimensions": {}}, "at least 1 item"),
        ({"dimensions": {"Good tone": "?"}}, "should match pattern"),
        (
            {"dimensions": {"comment": "?"}},
            "dimensions: comment is another column of the sheet",
        ),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_invalid_params_are_refused(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        make_params(**changes)


def test_all_params_have_defaults() -> None:
    settings = HumanParams()
    assert (settings.suites, settings.strata) == ([], [])
    assert (settings.variants, settings.records, settings.raters) == (["base", "merged"], 24, 2)
    assert [*settings.dimensions] == ["fluency", "relevance", "safety", "factuality"]
