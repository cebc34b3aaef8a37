"""A condition selects rows by their columns, and runs nothing else."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.rows.row_filter import Condition, ConditionError

ROW: dict[str, Any] = {
    "language": "en",
    "rating": "5",
    "count": 3,
    "tags": ["new", "4"],
    "meta": {"lang": "de"},
    "good": "True",
    "odd name": "x",
    "empty": None,
    "body": "Order 77 is late",
    "turns": [{"text": "a.0"}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('language == "en" and rating >= 4', True),
        ('language == "en" and rating >= 6', False),
        ('language == "de" or count != 3', False),
        ('not (language == "de")', True),
        ("1 < count <= 3", True),
        ("count > -1", True),
        ("rating > count", True),
        ('rating == 5 and rating == "5" and count == "3"', True),
        ('language in ["de", "en"]', True),
        ("count not in (1, 2)", True),
        ('"new" in tags and 4 in tags', True),
        ('"late" in body', True),
        ('"x" in absent', False),
        ('meta.lang == "de"', True),
        ('column("odd name") == "x"', True),
        ("good", True),
        ("good == true and good == True", True),
        ("empty == null and absent == None", True),
        ("empty < 4 or empty > 4 or empty >= 4", False),
        ('absent != "en"', True),
        ("absent", False),
        ("len(tags) == 2 and len(language) == 2 and len(empty) == 0", True),
        ('lower("ABC") == "abc" and lower(empty) == null', True),
        (r'matches(body, "\b\d+\b") and not matches(body, "^late")', True),
        ('matches(empty, ".")', False),
        ("number(rating) == 5 and number(language) == null", True),
        ('language ==\n"en"', True),
        ('tags.0 == "new" and tags.-1 == "4" and tags[1] == "4"', True),
        ('turns.0.text == "a.0" and turns.1.text == null and 0.5 < rating', True),
    ],
)
def test_a_condition_is_true_or_false_for_a_row(text: str, expected: bool) -> None:
    assert Condition(text)(ROW) is expected


def test_a_condition_knows_its_columns() -> None:
    condition = Condition('meta.lang == "de" or column("odd name") in tags')
    assert condition.columns == ["meta.lang", "odd name", "tags"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('language = "en"', "no condition at character 10: .*; write == for equal"),
        ('language == "a" AND count', "character 17: .*; write and, or, not, in, !="),
        ('class == "a"', r'character 1: .*; write column\("class"\)'),
        ('language == "en', "no condition at character 13"),
        ("", "no condition"),
        ('language is "en"', "write == or != instead of is at character 1"),
        ("matches(body, '(')", r"no regular expression \(missing \).* at character 15"),
        ("matches(body)", r"matches\(\) takes 2 value"),
        ("column(body)", "takes the name of a column"),
        ("rating + 1 == 6", "not allowed at character 1"),
        ('语言 == "a" and x[y]', "not allowed at character 15"),
        ("x[True]", "not allowed at character 1"),
        ("open('/etc/passwd')", "not allowed at character 1"),
        ("language.upper() == 'EN'", "not allowed at character 1"),
        ("[x for x in tags]", "not allowed"),
        ("(lambda: 1)()", "not allowed"),
        ("not " * 400 + "good", "nested too deeply"),
        ("good or " * 400 + "good", "more than 2000 characters"),
    ],
)
def test_a_mistake_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConditionError, match=problem):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "language >= 4",
            r"cannot compare language 'en' \(str\) with 4; number\(language\) is null",
        ),
        ("tags > 4", r"cannot compare tags '\[\"new\", \"4\"\]' \(list\) with 4$"),
        ("count", r"count is '3' \(int\), not true or false"),
        ("len(count) == 1", r"len\(count\): '3' \(int\) has no length"),
    ],
)
def test_a_mistake_of_types_names_the_value(text: str, problem: str) -> None:
    with pytest.raises(ConditionError, match=problem):
        Condition(text)(ROW)


TOKENS = [
    *("language", "rating", "tags", "empty", "'en'", "4", "null", "len(", "lower(", "(", ")"),
    *("==", "<", "in", "and", "not", "or", "[", "]", ",", "."),
]


@given(st.lists(st.sampled_from(TOKENS), max_size=8))
def test_any_words_are_a_condition_or_refused(words: list[str]) -> None:
    with contextlib.suppress(ConditionError):
        assert Condition(" ".join(words))(ROW) in (True, False)
