"""Texts with spans are read in the shapes of public data sets, and wrong spans are named."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import source_reading, task_kinds
from lockstep.data.record_metadata import find_answer_kind
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.metrics import entities
from tests.data.examples import make_source
from tests.data.test_prepare_params import make_params

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def read_pair(row: dict[str, Any], **values: Any) -> tuple[str, str]:
    (conversation,) = row_formats.parse_row(row, make_source("spans", **values))
    question, answer = conversation.messages
    return question["content"], answer["content"]


def read_slots(row: dict[str, Any], **values: Any) -> Any:
    return orjson.loads(read_pair(row, **values)[1])


def find_error(row: dict[str, Any], **values: Any) -> InvalidRowError:
    with pytest.raises(InvalidRowError) as error:
        read_pair(row, **values)
    return error.value


TEXT = "Ada met Bo in York"
SLOTS = {"person": ["Ada", "Bo"], "place": "York"}
BOUNDS = [(0, 3, "person"), (8, 10, "person"), (14, 18, "place")]


def make_objects(start: str, end: str, label: str, text: str = "") -> list[dict[str, Any]]:
    """Return the spans as objects with these keys."""
    return [
        {start: first, end: last, label: name, **({text: TEXT[first:last]} if text else {})}
        for first, last, name in BOUNDS
    ]


@pytest.mark.parametrize(
    "spans",
    [
        make_objects("start", "end", "label"),
        make_objects("start", "end", "label")[::-1],
        make_objects("start_offset", "end_offset", "label", "text"),
        make_objects("start_idx", "end_idx", "type", "entity"),
        make_objects("begin", "end", "tag", "mention"),
        make_objects("start", "end", "entity_type", "name"),
        [{**o, "entity": o["class"], "class": ""} for o in make_objects("start", "end", "class")],
        [{"offset": s, "length": e - s, "class": n} for s, e, n in BOUNDS],
        [{"span": [s, e], "type": n} for s, e, n in BOUNDS],
        [{**o, "value": "normal form"} for o in make_objects("start", "end", "entity")],
        [{"entity_index": {"begin": s, "end": e}, "entity_type": n, "entity": TEXT[s:e]}
         for s, e, n in BOUNDS],
        [{"offsets": [[s, e]], "text": [TEXT[s:e]], "type": n} for s, e, n in BOUNDS],
        [{"start": str(s), "end": str(e), "labels": [n]} for s, e, n in BOUNDS],
        [[s, e, n] for s, e, n in BOUNDS],
        [[s, e, n, TEXT[s:e]] for s, e, n in BOUNDS],
        [[TEXT[s:e], s, e, n] for s, e, n in BOUNDS],
        [[f"T{s}", n, [[s, e]]] for s, e, n in BOUNDS],
        [{"text": TEXT[s:e], "type": n} for s, e, n in BOUNDS],
        {"entities": [[s, e, n] for s, e, n in BOUNDS]},
        {"start": [0, 8, 14], "end": [3, 10, 18], "label": ["person", "person", "place"]},
        {"person": [[0, 3], [8, 10]], "place": [[14, 18]]},
        {"person": ["Ada", "Bo"], "place": "York"},
        {"person": {"Ada": [[0, 2]], "Bo": [[8, 9]]}, "place": {"York": [[14, 17]]}},
        [{"text": "Ada", "slot": "person"}, {"text": " met "}, {"text": "Bo", "slot": "person"},
         {"text": " in "}, {"text": "York", "slot": "place"}],
        "[person : Ada] met [person : Bo] in [place : York]",
        "B-person O S-person O U-place",
        ["person", "O", "person", "O", "place"],
    ],
)  # fmt: skip
def test_spans_are_read_in_many_shapes(spans: Any) -> None:
    assert read_pair({"text": TEXT, "spans": spans}) == (TEXT, orjson.dumps(SLOTS).decode())
    if not isinstance(spans, str):
        assert read_slots({"text": TEXT, "spans": json.dumps(spans)}) == SLOTS


def test_prodigy_s_tokens_are_not_the_text() -> None:
    row = {
        "text": "Hi Al",
        "tokens": [{"text": "Hi", "start": 0, "end": 2, "id": 0}],
        "spans": [{"start": 3, "end": 5, "token_start": 1, "token_end": 1, "label": "PERSON"}],
    }
    assert read_pair(row) == ("Hi Al", '{"PERSON":"Al"}')


def test_a_text_without_spans_has_no_slots() -> None:
    for empty in ([], {}, "[]"):
        assert read_pair({"text": "Hi", "entities": empty}) == ("Hi", "{}")
    assert read_pair({"text": "Hi there", "tags": ["O", "O"]})[1] == "{}"
    assert str(find_error({"text": "Hi", "entities": None})) == "spans_is_null"
    assert str(find_error({"text": "Hi", "entities": ""})) == "empty_spans"


def test_tags_are_those_of_label_studio() -> None:
    row = {"text": "Ada Lovelace", "entities": [[0, 12, "full name"], [4, 12, "last"]]}
    assert read_pair(row, annotation="tags")[1] == (
        "<full_name>Ada <last>Lovelace</last></full_name>"
    )
    row = {"text": "abcdef", "entities": [[0, 4, "x"], [2, 6, "y"]]}
    assert read_slots(row) == {"x": "abcd", "y": "cdef"}
    assert str(find_error(row, annotation="tags")) == "overlapping_spans"


def test_answers_fit_the_metrics_of_entities() -> None:
    row = {"text": TEXT, "spans": [[s, e, n] for s, e, n in BOUNDS]}
    names = [("person", "Ada"), ("person", "Bo"), ("place", "York")]
    for annotation in ("", "tags"):
        found = entities.find_entities(read_pair(row, annotation=annotation)[1])
        assert sorted(entity[:2] for entity in found) == names


def test_mentions_decide_whether_ends_are_inclusive() -> None:
    """CLUENER's ends are inclusive; a row's spans without mention are read like the others."""
    row = {"text": "王小明在北京大学", "label": {"name": {"王小明": [[0, 2]]}}}
    assert read_pair(row) == ("王小明在北京大学", '{"name":"王小明"}')
    spans = [
        {"start": 0, "end": 2, "type": "a", "text": "王小明"},
        {"start": 4, "end": 7, "type": "b"},
    ]
    assert read_slots({"text": row["text"], "spans": spans}) == {"a": "王小明", "b": "北京大学"}
    both = [spans[0], {"start": 4, "end": 8, "type": "b", "text": "北京大学"}]
    assert str(find_error({"text": row["text"], "spans": both})) == "span_ends_differ"
    assert read_slots({"text": "abc", "spans": [[0, 0, "x"]]}, ends="inclusive") == {"x": "a"}
    spans = [
        {"start": 0, "end": 2, "type": "a", "text": "Bo "},
        {"start": 3, "end": 3, "type": "b"},
    ]
    assert read_slots({"text": "Bo x", "spans": spans}) == {"a": "Bo", "b": "x"}
    assert str(find_error({"text": row["text"], "spans": both}, ends="exclusive")) == (
        "span_not_in_text"
    )


def test_all_rows_of_a_source_have_the_ends_of_its_mentions(tmp_path: Path) -> None:
    rows = [
        {"text": "abcd", "spans": [{"start": 0, "end": 1, "label": "x"}]},
        {"text": "abcd e", "spans": [{"start": 0, "end": 1, "label": "x", "text": "ab"}]},
        {"text": "abcd f", "spans": [{"start": 0, "end": 1, "label": "x", "text": "a"}]},
    ]
    answers = {}
    for number in (2, 3):
        (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows[:number]))
        params = make_params({"path": "a.jsonl", "format": "spans"})
        table, _, reports = source_reading.read_sources(tmp_path, params, seed=7)
        answers[number] = [table.load_record(index).answer for index in range(len(table))]
        assert reports[0].unknown_columns == []
    assert answers == {2: ['{"x":"ab"}'] * 2, 3: ['{"x":"a"}', '{"x":"ab"}', '{"x":"a"}']}


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"text": "abc", "spans": [[1, 4, "x"]]}, "span_not_in_text",
         "from 1 to 4 (exclusive) is no part of a text of 3 characters"),
        ({"text": "abc", "spans": [{"start": 0, "end": 1, "label": "x", "text": "c"}]},
         "span_not_in_text", 'from 0 to 1 (exclusive) stands "a", not "c"'),
        ({"text": "😀 Bo", "spans": [{"start": 3, "end": 5, "label": "x", "text": "Bo"}]},
         "span_not_in_text", 'from 3 to 5 (exclusive) is no part of a text of 4 characters'),
        ({"text": "abc", "spans": [[1, 1, "x"]]}, "span_not_in_text", "no part"),
        ({"text": "abc", "spans": [{"text": "d", "label": "x"}]}, "span_not_in_text", 'no "d"'),
        ({"text": "abc", "spans": [[0, 1]]}, "span_without_label", "[0, 1]"),
        ({"text": "abc", "spans": [{"label": "x"}]}, "span_without_bounds", '{"label": "x"}'),
        ({"text": "abc", "spans": [{"offsets": [[0, 1], [2, 3]], "type": "x"}]},
         "discontinuous_span", "[[0, 1], [2, 3]]"),
        ({"text": "a b", "tags": ["O"]}, "tags_and_tokens_differ", "1 tags, 2 tokens"),
        ({"tokens": ["a"], "ner_tags": [1]}, "tags_without_names", "set label_names"),
        ({"tokens": ["a"], "tags": ["B-\ud800"]}, "lone_surrogate", ""),
        ({"text": "abc"}, "missing_spans", "the row has text"),
        ({"sentence": "abc", "spans": [[0, 1, "x"]]}, "missing_text", "set columns: {text: …}"),
        ({"sentence": "ab", "spans": [{"text": "a", "type": "x"}, {"text": "b", "type": "x"}]},
         "missing_text", "set columns"),
        ({"sentence": "ab", "spans": [{"text": "a", "type": "x"}]}, "missing_text", "set columns"),
        ({"sentence": "ab", "spans": [{"text": "a", "start": 0}, {"text": "b", "start": 1}]},
         "missing_text", "set columns"),
        ({"text": "wake me", "spans": "wake [who : you]"}, "spans_of_other_text", '"wake you"'),
        ({"text": "abc", "tokens": ["b", "a"], "tags": ["O", "O"]}, "tokens_not_in_text", '"a"'),
    ],
)  # fmt: skip
def test_wrong_spans_are_named(row: dict[str, Any], reason: str, detail: str) -> None:
    error = find_error(row)
    assert str(error) == reason
    assert detail in error.detail


def test_a_mention_without_bounds_must_have_one_place_in_tagged_text() -> None:
    row = {"text": "Bo met Bo", "spans": {"person": "Bo"}}
    assert read_slots(row) == {"person": "Bo"}
    assert str(find_error(row, annotation="tags")) == "span_in_several_places"
    row["spans"] = {"person": ["Bo", "Bo"]}
    assert read_slots(row) == {"person": ["Bo", "Bo"]}


def test_chunks_make_the_text() -> None:
    chunks = [
        {"text": "add "},
        {"text": "Halo", "entity": "any", "slot_name": "song"},
        {"text": "!"},
    ]
    assert read_pair({"data": chunks}, columns={"spans": "data"}) == (
        "add Halo!",
        '{"song":"Halo"}',
    )


def test_mark_up_is_removed_from_the_text() -> None:
    row = {
        "utt": "wake me at nine am on friday",
        "annot_utt": "wake me at [time : nine am] on [date : friday]",
    }
    expected = (row["utt"], '{"time":"nine am","date":"friday"}')
    assert read_pair(row, columns={"spans": "annot_utt"}) == expected
    assert read_pair(row, columns={"text": "utt", "spans": "annot_utt"}) == expected
    assert read_pair({"annot_utt": "stop"}, columns={"spans": "annot_utt"}) == ("stop", "{}")


def test_bounds_count_tokens_if_there_is_no_text() -> None:
    row = {
        "tokens": ["Ada", "Lovelace", "of", "London"],
        "entities": [[0, 2, "PER"], [3, 4, "LOC"]],
    }
    assert read_slots(row) == {"PER": "Ada Lovelace", "LOC": "London"}
    row["entities"] = [[0, 1, "PER"], [3, 3, "LOC"]]
    assert read_slots(row, ends="inclusive") == {"PER": "Ada Lovelace", "LOC": "London"}


def test_columns_may_be_named_and_labels_renamed() -> None:
    row = {"id": 1, "words": ["Ada", "is", "here"], "ner": [1, 0, 0], "label": "x"}
    values = {"columns": {"spans": "ner"}, "label_names": NAMES, "system": "Find names."}
    (parsed,) = row_formats.parse_row(row, make_source("spans", **values))
    assert [turn["content"] for turn in parsed.messages] == [
        "Find names.", "Ada is here", '{"PER":"Ada"}',
    ]  # fmt: skip
    row = {"text": "Ada", "spans": [[0, 3, 7]]}
    assert read_slots(row, label_names={7: "person"}) == {"person": "Ada"}
    row = {"tokens": ["Ada"], "tags": ["B-PER"]}
    assert read_slots(row, label_names={"PER": "person"}) == {"person": "Ada"}


def test_tokens_that_the_settings_name_are_the_text() -> None:
    row = {"text": "Adas", "tokens": ["Ada", "'s"], "tags": ["B-x", "O"]}
    assert str(find_error(row)) == "tokens_not_in_text"
    assert read_pair(row, columns={"tokens": "tokens"}) == ("Ada 's", '{"x":"Ada"}')


def test_the_task_has_the_kind_json(tmp_path: Path) -> None:
    rows = [{"text": "Hi Al", "label": [[3, 5, "PER"]]}, {"text": "Hi", "label": []}]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    params = make_params({"path": "a.jsonl", "format": "spans"})
    table, _, _ = source_reading.read_sources(tmp_path, params, seed=7)
    kinds = {find_answer_kind(table.load_record(number)) for number in range(len(table))}
    assert task_kinds.choose_kind(kinds) == "json"
    assert "spans" not in task_kinds.find_source_kinds(params.sources, [])


@given(
    st.text("ab 王", min_size=1, max_size=9).filter(str.strip),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3),
)
def test_inclusive_and_exclusive_ends_give_the_same_slots(text: str, bounds: Any) -> None:
    spans = [(start, end) for start, end in bounds if start < end <= len(text)]
    exclusive = {"text": text, "spans": [[start, end, "x"] for start, end in spans]}
    inclusive = {"text": text, "spans": [[start, end - 1, "x"] for start, end in spans]}
    try:
        expected = read_slots(exclusive)
    except InvalidRowError as error:
        assert str(error) == "span_not_in_text"  # blanks alone
        return
    assert read_slots(inclusive, ends="inclusive") == expected


@pytest.mark.parametrize("verdict", ["reject", "ignore"])
def test_a_row_that_was_not_accepted_in_prodigy_is_rejected(verdict: str) -> None:
    row = {"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "place"}], "answer": verdict}
    exported = {**row, "_input_hash": 1, "_task_hash": 2}
    error = find_error(exported)
    assert (str(error), error.detail) == (
        "annotation_not_accepted", f"the column answer is {verdict}",
    )  # fmt: skip
    for accepted, ignored in (
        ({**exported, "answer": "accept"}, []), (exported, ["answer"]), (row, []),
    ):  # fmt: skip
        assert read_slots(accepted, ignored_fields=ignored) == {"place": "Ada"}
