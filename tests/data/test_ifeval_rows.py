"""Rows of IFEval: instructions and their arguments become the list of rules."""

import json
from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from tests.data import examples

ROW: dict[str, Any] = {
    "key": 3,
    "prompt": "Say it with rain.",
    "instruction_id_list": ["keywords:existence", "length_constraints:number_words"],
    "kwargs": [{"keywords": ["rain"]}, {"num_words": 9, "relation": "at least"}],
}
RULES = [
    {"rule": "keywords:existence", "keywords": ["rain"]},
    {"rule": "length_constraints:number_words", "num_words": 9, "relation": "at least"},
]


def read_rules(**values: Any) -> Any:
    (conversation,) = row_formats.parse_row({**ROW, **values}, examples.make_source("ifeval"))
    question, answer = conversation.messages
    assert question == {"role": "user", "content": "Say it with rain."}
    return json.loads(answer["content"])


@pytest.mark.parametrize(
    "kwargs",
    [
        ROW["kwargs"],
        json.dumps(ROW["kwargs"]),
        [json.dumps(arguments) for arguments in ROW["kwargs"]],
        [  # as the hub's tables fill them up
            {"keywords": ["rain"], "num_words": None, "relation": None, "letter": ""},
            {"keywords": [], "num_words": 9.0, "relation": "at least", "letter": None},
        ],
    ],
    ids=["objects", "text", "texts", "table"],
)
def test_arguments_are_read_in_every_form_that_files_have(kwargs: Any) -> None:
    assert read_rules(kwargs=kwargs) == RULES


def test_a_rule_may_have_no_arguments() -> None:
    rules = read_rules(instruction_id_list=["punctuation:no_comma"], kwargs=[None])
    assert rules == [{"rule": "punctuation:no_comma"}]


@pytest.mark.parametrize(
    ("values", "reason", "detail"),
    [
        ({"prompt": ""}, "empty_prompt", ""),
        ({"kwargs": [{}]}, "rules_and_kwargs_differ", "2 instructions, keyword arguments of 1"),
        ({"kwargs": 3}, "kwargs_not_a_list", "kwargs holds 3"),
        ({"kwargs": [{}, 3]}, "kwargs_not_an_object", "kwargs holds 3"),
        ({"instruction_id_list": []}, "rules_and_kwargs_differ", "0 instructions, keyword"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_refused_by_name(
    values: Any, reason: str, detail: str
) -> None:
    with pytest.raises(InvalidRowError) as error:
        read_rules(**values)
    assert str(error.value) == reason
    assert error.value.detail.startswith(detail)
