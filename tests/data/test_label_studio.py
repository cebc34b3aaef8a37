"""Annotations are read as labels, and the agreement of the annotators is measured.

label_studio_export.json was written by label-studio-sdk 2.1.2 (LabelInterface, AnnotationValue)
from the tasks and the interface that this module writes; the SDK's validate_task and
validate_prediction accepted them.
"""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from lockstep import records
from lockstep.data import label_studio
from lockstep.data.label_studio import Vote
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.records import Record

EXPORT = json.loads((Path(__file__).parent / "label_studio_export.json").read_text("utf-8"))


def make_record(question: str, answer: str, **slices: str) -> Record:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Record(messages=messages, task="intent", source="a", origin="a:1", slices=slices)


def make_task(*answers: str | None) -> dict[str, Any]:
    """Return a task that annotators 1, 2 … have answered, or skipped (None)."""
    annotations = [
        {
            "completed_by": {"id": annotator, "email": "x@example.org"},
            "was_cancelled": answer is None,
            "result": [{"type": "choices", "value": {"choices": [answer or "skipped"]}}],
        }
        for annotator, answer in enumerate(answers, 1)
    ]
    return {"id": 7, "data": {"text": "Where is it?", "language": "en"}, "annotations": annotations}


def test_the_label_is_the_answer_with_most_votes() -> None:
    row = make_task("track", "other", "track")
    votes = label_studio.read_votes(row)
    assert votes == [
        ("1", "7", "track", "choices"),
        ("2", "7", "other", "choices"),
        ("3", "7", "track", "choices"),
    ]
    assert label_studio.merge_votes(row, votes) == {
        "text": "Where is it?",
        "language": "en",
        "label": "track",
    }
    assert read_label(make_task(None, "track")) == "track"


def read_label(row: Any) -> str:
    label: str = label_studio.merge_votes(row, label_studio.read_votes(row))["label"]
    return label


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "missing_annotations"),
        ({"annotations": []}, "missing_data"),
        ({"data": {"text": "a"}}, "missing_annotations"),
        (make_task(), "not_annotated"),
        (make_task(None), "not_annotated"),
        (make_task("a", "b"), "annotators_disagree"),
        ({"data": {}, "annotations": [7, {"result": [{"value": 3}, {}]}]}, "not_annotated"),
    ],
)
def test_a_task_without_a_label_is_rejected_with_the_reason(row: Any, reason: str) -> None:
    with pytest.raises(InvalidRowError, match=f"^{reason}$"):
        read_label(row)


def test_texts_and_ratings_are_answers_too() -> None:
    for value, answer, question in (
        ({"text": ["one", "two"]}, "one\ntwo", "text"),
        ({"rating": 4}, "4", "rating"),
    ):
        row = make_task("x")
        row["annotations"][0]["result"] = [{"type": "other", "value": value}]
        assert read_label(row) == answer
        assert [vote.question_type for vote in label_studio.read_votes(row)] == [question]


def test_every_task_of_an_export_is_read() -> None:
    labels, disagreements = [], 0
    for row in EXPORT:
        try:
            labels.append(read_label(row))
        except InvalidRowError as error:
            disagreements += str(error) == "annotators_disagree"
    assert (len(labels), disagreements) == (10, 2)
    assert labels[:3] == ["login_problem", "cancel_order", "track_order"]


def test_alpha_equals_that_of_the_krippendorff_library() -> None:
    votes = [vote for row in EXPORT for vote in label_studio.read_votes(row)]
    assert label_studio.measure_agreement(votes) == {
        "annotators": 3,
        "tasks_answered_twice": 8,
        "krippendorff_alpha": pytest.approx(0.6524390243902439, abs=5e-5),  # krippendorff 0.9.0
    }


def test_kappa_equals_that_of_a_textbook_example() -> None:
    """The annotators agree on yes 20 times and on no 15 times; they differ 5 and 10 times.

    Source: Wikipedia, Cohen's kappa, simple example.
    """
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    votes = [
        Vote("ab"[k], str(n), pair[k], "choices") for n, pair in enumerate(pairs) for k in (0, 1)
    ]
    assert label_studio.measure_agreement(votes)["cohen_kappa"] == 0.4
    assert label_studio.measure_agreement([Vote("a", "1", "y", "choices")]) == {
        "annotators": 1,
        "tasks_answered_twice": 0,
    }


def test_invalid_annotations_are_ignored() -> None:
    assert (
        label_studio.read_votes({"id": 1, "annotations": [{"result": 5}, 7, {"result": [3]}]}) == []
    )


def test_a_file_without_suitable_records_is_refused(tmp_path: Path) -> None:
    records.write(tmp_path / "test.jsonl", [make_record("question", "yes")])
    (tmp_path / "card.json").write_text("{}")
    for name, options, message in (
        ("card.json", [], "card.json:1: not a record; run `dvc repro`"),
        ("test.jsonl", ["--task", "nope"], "no record of task nope; correct --task"),
    ):
        result = CliRunner().invoke(
            label_studio.main, [str(tmp_path / name), str(tmp_path), *options]
        )
        assert result.exit_code == 2 and message in result.output
    assert not (tmp_path / "tasks.json").exists()


def test_tasks_and_their_interface_are_written(tmp_path: Path) -> None:
    answers = ["refund", 'say "hi" & go']
    rows = [make_record(f"question {n}", answers[n % 2], language="en") for n in range(9)]
    records.write(tmp_path / "test.jsonl", rows)
    arguments = [str(tmp_path / "test.jsonl"), str(tmp_path / "out"), "--number", "3"]
    result = CliRunner().invoke(label_studio.main, arguments)
    assert result.exit_code == 0, result.output
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text("utf-8"))
    assert [task["data"]["record"] for task in tasks] == [rows[n].id for n in (0, 3, 6)]
    assert tasks[1]["predictions"][0]["result"][0]["value"] == {"choices": ['say "hi" & go']}
    view = ElementTree.parse(tmp_path / "out" / "config.xml").getroot()  # noqa: S314  # written here
    assert [choice.get("value") for choice in view.iter("Choice")] == ["refund", 'say "hi" & go']
