"""Spans are found in the text, and become slots or tags."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.label_studio import dialogues, spans
from lockstep.data.rejected_rows import InvalidRowError


def test_bounds_in_utf_16_units_are_found_by_the_span_s_own_text() -> None:
    """In a browser an emoji has length 2; the API counts it as one character."""
    text = "😀😀 Call Bob now."
    for start in (8, 10):
        value = {"start": start, "end": start + 3, "text": "Bob", "labels": ["person"]}
        assert spans.read_spans([value], text) == [(8, 11, "person")]


def test_blanks_at_the_ends_of_a_span_do_not_belong_to_it() -> None:
    value = {"start": 4, "end": 9, "text": " Bob ", "labels": ["a", "b"]}
    assert spans.read_spans([value], "Call Bob now.") == [(5, 8, "a"), (5, 8, "b")]


@pytest.mark.parametrize(
    ("found", "reason"),
    [([(0, 5, "a"), (3, 8, "b")], "overlapping_spans"), ([(0, 2, "b")], "tag_in_text")],
)
def test_tags_that_could_not_be_read_back_are_rejected(found: Any, reason: str) -> None:
    with pytest.raises(InvalidRowError, match=reason):
        spans.format_tags(found, "ab <b>cd</b>")


def test_a_label_with_blanks_has_a_tag_without_them() -> None:
    assert spans.format_tags([(0, 2, "first name")], "Al") == "<first_name>Al</first_name>"


ranges = st.lists(st.tuples(st.integers(0, 11), st.integers(1, 5), st.sampled_from("xyz")))


@given(st.text("ab 中😀", min_size=12, max_size=12), ranges)
def test_without_its_tags_a_tagged_text_is_the_text(text: str, marks: Any) -> None:
    values = [
        {"start": start, "end": min(12, start + length), "labels": [label]}
        for start, length, label in marks
    ]
    try:
        found = spans.read_spans(values, text)
        tagged = spans.format_tags(found, text)
    except InvalidRowError:
        return
    assert re.sub("</?[xyz]>", "", tagged) == text
    assert len(re.findall("<[xyz]>", tagged)) == len(re.findall("</[xyz]>", tagged)) == len(found)
    slots = orjson.loads(spans.format_slots(found, text))
    parts = [
        part for value in slots.values() for part in ([value] if isinstance(value, str) else value)
    ]
    assert sorted(parts) == sorted(text[start:end] for start, end, _ in found)


def test_a_span_over_two_turns_labels_both() -> None:
    text, turns = dialogues.format_dialogue(
        [{"author": "A", "text": "One."}, {"author": "B", "text": "Two."}, {"text": "Three."}]
    )
    assert text == "A: One.\nB: Two.\nThree."
    value = {"start": "0", "end": "1", "startOffset": 2, "endOffset": 3, "paragraphlabels": ["x"]}
    found = spans.read_spans(dialogues.locate_values([value], turns), text)
    assert [text[start:end] for start, end, _ in found] == ["e.\nB: Two"]
    assert dialogues.find_turn_labels(found, turns) == {0: ["x"], 1: ["x"]}


def test_a_span_in_no_turn_is_rejected() -> None:
    value = {"start": "4", "end": "4", "startOffset": 0, "endOffset": 1, "paragraphlabels": ["x"]}
    with pytest.raises(InvalidRowError, match="span_in_no_turn"):
        list(dialogues.locate_values([value], dialogues.format_dialogue(["One."])[1]))
