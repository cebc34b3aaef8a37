"""Exports that Label Studio itself wrote are read control by control; the README tells how."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.data.label_studio import export_reading, voting
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError
from tests.data.label_studio.exports import (
    FOLDER,
    SIDES,
    choose,
    make_result,
    make_task,
    read_answers,
    read_merged_rows,
    read_votes,
    write_export,
)

JSON_ANSWERS = {
    "mood": ["good", "bad", "bad", "bad", "not_annotated", "annotators_disagree"],
    "topic": [
        '["delivery"]', '["colour","delivery"]', '["price"]', "annotators_disagree",
        "not_annotated", '["colour"]',
    ],
    "urgency": ["1", "annotators_disagree", "2", "annotators_disagree", "not_annotated", "1"],
    "minutes": ["2", "annotators_disagree", "1", "15", "not_annotated", "1"],
    "remark": ["Thank the customer.", "Say sorry.\nSend a new lamp.", *["not_annotated"] * 4],
}  # fmt: skip
"""Answers in support.json: skipped annotations, drafts and predictions do not count."""


@pytest.mark.parametrize("control", JSON_ANSWERS)
def test_each_control_of_a_project_is_read_by_its_name(control: str) -> None:
    assert read_answers("support.json", control=control) == JSON_ANSWERS[control]


@pytest.mark.parametrize("file", ["support.min.json", "support.csv"])
@pytest.mark.parametrize("control", JSON_ANSWERS)
def test_json_min_and_csv_give_the_answers_of_json(file: str, control: str) -> None:
    """They hold no task without annotation, and no ground truth."""
    expected = [answer for n, answer in enumerate(JSON_ANSWERS[control]) if n != 4]
    if control == "mood":
        expected[2] = "annotators_disagree"  # the ground truth of JSON
    assert read_answers(file, control=control) == expected


def test_the_data_of_a_task_stays_beside_its_answer() -> None:
    for file in ("support.json", "support.min.json"):
        row = read_merged_rows(file, control="mood")[0]
        assert isinstance(row, dict)
        assert (row["text"], row["channel"]) == ("The lamp came a day early.", "mail")


def test_ratings_and_numbers_can_be_averaged() -> None:
    assert read_answers("support.json", control="urgency", annotation="mean") == [
        "1.3333", "4.5", "2", "4.5", "not_annotated", "1",
    ]  # fmt: skip
    assert read_answers("support.json", control="minutes", annotation="mean")[1] == "11"


def test_single_choices_can_be_read_as_lists() -> None:
    answers = read_answers("support.json", control="mood", annotation="labels")
    assert answers[:2] == ['["good"]', '["bad"]']


def test_a_choice_of_a_taxonomy_is_its_path() -> None:
    expected = ['["shop/bill"]', '["shop/stock","travel"]']
    assert read_answers("taxonomy.json") == read_answers("taxonomy.min.json") == expected


def test_a_comparison_becomes_the_better_and_the_worse_text() -> None:
    expected = [
        "It left us on Monday. > No idea.",
        "Yes, within thirty days. > No.",
        "annotators_disagree",
    ]
    assert read_answers("pairwise.json", columns=SIDES) == expected
    assert read_answers("pairwise.min.json", columns=SIDES) == expected


SPANS = {
    "": [
        '{"person":"Alice Moor","place":"Leeds"}',
        '{"person":["Alice","Bob"],"place":"York"}',
        '{"organisation":"University of Bern","place":"Bern"}',
        '{"person":"Carol","place":"Bath"}',
        '{"person":"王芳","place":"上海"}',
        "{}",
        '{"person":"Miss Bath","place":"Bath Stone"}',
    ],
    "tags": [
        "<person>Alice Moor</person> lives in <place>Leeds</place>.",
        "<person>Alice</person> and <person>Bob</person> moved to <place>York</place>.",
        "The <organisation>University of <place>Bern</place></organisation> called.",
        "😀 Write to <person>Carol</person> in <place>Bath</place>, please.",
        "订单请寄给<person>王芳</person>，地址在<place>上海</place>。",
        "Nothing is named here.",
        "overlapping_spans",
    ],
}


@pytest.mark.parametrize("annotation", SPANS)
@pytest.mark.parametrize("file", ["spans.json", "spans.min.json", "spans.csv"])
def test_spans_become_slots_or_tags(file: str, annotation: str) -> None:
    assert read_answers(file, annotation=annotation) == SPANS[annotation]


@pytest.mark.parametrize("file", ["dialogue.json", "dialogue.min.json"])
def test_a_dialogue_is_read_as_a_whole_or_turn_by_turn(file: str) -> None:
    columns = {"text": "dialogue"}
    assert read_answers(file, columns=columns, control="solved") == ["yes", "no"]
    assert read_answers(file, columns=columns, control="act") == [
        "annotators_disagree", '{"request":"Send me the bill."}',
    ]  # fmt: skip
    tagged = read_answers(file, columns=columns, control="act", annotation="tags")[1]
    assert tagged == "Customer: <request>Send me the bill.</request>\nAgent: It is on its way."
    turns = read_merged_rows(file, columns=columns, control="act", annotation="utterances")
    rows = [row for row in turns if isinstance(row, dict)]
    assert [(row["dialogue"], row[voting.ANSWER]) for row in rows] == [
        ("Customer: Good morning. Please cancel order 12.", '["greeting","request"]'),
        ("Customer: Good morning. Please cancel order 12.\nAgent: Hello.", '["greeting"]'),
        (
            "Customer: Good morning. Please cancel order 12.\nAgent: Hello.\n"
            "Agent: I will cancel it today.",
            '["promise"]',
        ),
        ("Customer: Send me the bill.", '["request"]'),
    ]
    assert [rows[n][voting.GROUP] == rows[0][voting.GROUP] for n in range(4)] == [
        True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        (
            "support.json", {},
            "several controls; set control to one of: minutes (number), mood (choices), "
            "remark (textarea), topic (choices), urgency (rating)",
        ),
        ("support.json", {"control": "mod"}, "no control mod; set control to one of: minutes ("),
        (
            "support.min.json", {},
            "JSON-MIN and CSV do not tell controls from data; set control to one of: channel, "
            "minutes (number), mood, remark (textarea), topic, urgency (rating)",
        ),
        ("support.csv", {"control": "mod"}, "no control mod; set control to one of: channel, "),
        (
            "relations.json", {},
            "the annotations hold relations between spans, which are not read; set control to slot",
        ),
        (
            "boxes.json", {},
            "control box is of type rectanglelabels, which cannot be read; set control to one of "
            "these types: choices, ",
        ),
        ("boxes.min.json", {"control": "box"}, "control box is of type rectanglelabels, which"),
        (
            "pairwise.json", {},
            "the tasks have no text and left and right but question, reply_one, reply_two; name "
            "the right ones in columns, e.g. {text: …, left: …, right: …}",
        ),
        (
            "spans.json", {"annotation": "mean"},
            "annotation: mean does not fit control slot (labels); leave it out or use `tags`",
        ),
        ("spans.json", {"annotation": "utterances"}, "annotation: utterances does not fit"),
        ("support.json", {"control": "remark", "annotation": "labels"}, "labels does not fit"),
    ],
)  # fmt: skip
def test_an_export_that_cannot_be_read_is_refused_in_one_line(
    file: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        read_answers(file, **settings)
    assert message in error.value.message and "\n" not in error.value.message
    assert file in error.value.message


def test_relations_do_not_stop_a_control_that_is_named() -> None:
    expected = ['{"person":"Alice Moor","place":"Leeds"}']
    assert read_answers("relations.json", control="slot") == expected


def test_old_exports_call_annotations_completions(tmp_path: Path) -> None:
    task = make_task(choose("yes"))
    task["completions"] = task.pop("annotations")
    assert read_answers(write_export(tmp_path, task), tmp_path) == ["yes"]


def test_only_the_latest_annotation_of_an_annotator_counts(tmp_path: Path) -> None:
    annotations = [
        choose("new", completed_by=1, updated_at="2026-02-01T10:00:00Z"),
        choose("old", completed_by=1, updated_at="2026-01-01T10:00:00Z"),
        choose("old", completed_by={"id": 1}, created_at="2025-01-01T10:00:00Z"),
    ]
    file = write_export(tmp_path, make_task(*annotations))
    assert [vote.answer for vote in read_votes(file, tmp_path)] == ["new"]
    rows = [
        {"id": 1, "text": "a", "label": label, "annotator": 1, "annotation_id": n, "updated_at": at}
        for n, (label, at) in enumerate((("new", "2026-02"), ("old", "2026-01")))
    ]
    file = write_export(tmp_path, *rows)
    assert [vote.answer for vote in read_votes(file, tmp_path)] == ["new"]


def test_free_text_in_json_min_is_no_choice_if_the_source_says_so(tmp_path: Path) -> None:
    file = write_export(tmp_path, {"id": 1, "text": "a", "reply": "Hello.", "annotation_id": 2})
    assert [vote.question_type for vote in read_votes(file, tmp_path)] == ["choices"]
    assert read_votes(file, tmp_path, annotation="text")[0][2:4] == ("Hello.", "text")


def test_answers_to_parts_of_a_text_are_no_answers_to_the_task(tmp_path: Path) -> None:
    value = {"start": 0, "end": 5, "text": "Where", "choices": ["question"]}
    file = write_export(tmp_path, make_task({"result": [make_result(value, "choices")]}))
    with pytest.raises(UserError, match="control label belong to parts of the text; set control"):
        read_answers(file, tmp_path)


def test_tasks_without_an_id_are_different_tasks(tmp_path: Path) -> None:
    tasks = [make_task(choose("yes")), make_task(choose("no"))]
    for task in tasks:
        del task["id"]
    votes = read_votes(write_export(tmp_path, *tasks), tmp_path)
    assert len({vote.task for vote in votes}) == 2


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ([], "missing_annotations"),
        ({"data": {"text": "a"}}, "missing_annotations"),
        ({"annotations": []}, "missing_data"),
        (make_task(), "not_annotated"),
        (make_task(choose("yes", was_cancelled=True)), "not_annotated"),
        (make_task(choose("yes", skipped=True)), "not_annotated"),
        (make_task(choose("yes"), choose("no")), "annotators_disagree"),
        (make_task({"result": 5}, {"result": [3, {"value": 3}]}), "not_annotated"),
    ],
)
def test_a_task_without_an_answer_is_rejected_with_the_reason(
    tmp_path: Path, task: Any, reason: str
) -> None:
    assert read_answers(write_export(tmp_path, task), tmp_path) == [reason]


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ({"rating": "high"}, "rating", "rating_not_a_number"),
        ({"selected": "the first one"}, "pairwise", "side_not_left_or_right"),
        ({"start": 0, "end": 5, "text": "Waere", "labels": ["x"]}, "labels", "span_not_in_text"),
        ({"start": 0, "end": 99, "labels": ["x"]}, "labels", "span_not_in_text"),
        ({"start": "a", "end": 5, "labels": ["x"]}, "labels", "span_without_bounds"),
        ({"start": 0, "end": 5, "labels": []}, "labels", "span_without_label"),
    ],
)
def test_an_invalid_answer_rejects_its_task(
    tmp_path: Path, value: dict[str, Any], kind: str, reason: str
) -> None:
    data = {"text": "Where is it?", "left": "a", "right": "b"}
    task = make_task({"result": [make_result(value, kind)]}, **data)
    assert read_answers(write_export(tmp_path, task), tmp_path) == [reason]


def test_a_dialogue_without_texts_is_rejected_with_the_keys_that_are_read(tmp_path: Path) -> None:
    task = make_task(choose("yes"), text=[{"author": "A", "words": "Hello"}])
    (error,) = read_merged_rows(write_export(tmp_path, task), tmp_path)
    assert isinstance(error, InvalidRowError) and str(error) == "dialogue_not_turns"
    assert "text, content, utterance" in error.detail


def test_the_exports_name_nobody() -> None:
    for file in FOLDER.glob("*.json"):
        text = json.dumps(json.loads(file.read_text("utf-8")))
        assert "@" not in text.replace("@example.org", "")


def test_the_detail_of_a_tie_of_ratings_names_the_mean() -> None:
    (error,) = read_merged_rows("support.json", control="urgency")[1:2]
    assert isinstance(error, InvalidRowError) and "annotation: mean" in error.detail
    (error,) = read_merged_rows("support.json", control="mood")[5:6]
    assert isinstance(error, InvalidRowError) and "annotation: mean" not in error.detail


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("support.json", {"text": "text"}),
        ("spans.min.json", {"text": "text"}),
        ("pairwise.json", {"text": "question"}),
        ("pairwise.min.json", {"text": "question"}),
        ("dialogue.json", {"text": "dialogue"}),
        ("dialogue.min.json", {"text": "dialogue"}),
    ],
)
def test_an_export_is_recognized_by_its_rows(file: str, columns: dict[str, str]) -> None:
    rows = json.loads((FOLDER / file).read_text("utf-8"))
    assert export_reading.guess_columns(rows) == columns
    assert export_reading.guess_columns([*rows, {"text": "a", "label": "b"}]) is None


def test_turns_with_label_studio_s_own_keys_are_a_dialogue() -> None:
    task = make_task(choose("yes"), number=7, chat=[{"author": "A", "text": "Hello"}])
    assert export_reading.guess_columns([task]) == {"text": "chat"}
