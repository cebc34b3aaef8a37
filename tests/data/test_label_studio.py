"""People's answers come back as labels, and how far the people agree is counted.

label_studio_export.json was written by label-studio-sdk 2.1.2 (LabelInterface, AnnotationValue)
from the tasks and the interface that this module exports; the SDK's validate_task and
validate_prediction accepted those.
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
from lockstep.data.rejection import UnfitError
from lockstep.records import Record

EXPORT = json.loads((Path(__file__).parent / "label_studio_export.json").read_text("utf-8"))


def said(question: str, answer: str, **slices: str) -> Record:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Record(messages=turns, task="intent", source="a", origin="a:1", slices=slices)


def annotated(*answers: str | None) -> dict[str, Any]:
    """A task that annotators 1, 2 … have answered, or skipped."""
    annotations = [
        {
            "completed_by": {"id": who, "email": "x@example.org"},
            "was_cancelled": answer is None,
            "result": [{"type": "choices", "value": {"choices": [answer or "skipped"]}}],
        }
        for who, answer in enumerate(answers, 1)
    ]
    return {"id": 7, "data": {"text": "Where is it?", "language": "en"}, "annotations": annotations}


def test_the_label_is_the_one_with_most_votes() -> None:
    row = annotated("track", "other", "track")
    votes = label_studio.votes(row)
    assert votes == [
        ("1", "7", "track", "choices"),
        ("2", "7", "other", "choices"),
        ("3", "7", "track", "choices"),
    ]
    assert label_studio.fields(row, votes) == {
        "text": "Where is it?",
        "language": "en",
        "label": "track",
    }
    assert read(annotated(None, "track"))["label"] == "track"


def read(row: Any) -> dict[str, Any]:
    return label_studio.fields(row, label_studio.votes(row))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "missing_annotations"),
        ({"annotations": []}, "missing_data"),
        ({"data": {"text": "a"}}, "missing_annotations"),
        (annotated(), "not_annotated"),
        (annotated(None), "not_annotated"),
        (annotated("a", "b"), "annotators_disagree"),
        ({"data": {}, "annotations": [7, {"result": [{"value": 3}, {}]}]}, "not_annotated"),
    ],
)
def test_a_task_without_a_label_is_named(row: Any, reason: str) -> None:
    with pytest.raises(UnfitError, match=f"^{reason}$"):
        read(row)


def test_text_areas_and_ratings_are_answers_too() -> None:
    for value, answer, question in (
        ({"text": ["one", "two"]}, "one\ntwo", "text"),
        ({"rating": 4}, "4", "rating"),
    ):
        row = annotated("x")
        row["annotations"][0]["result"] = [{"type": "other", "value": value}]
        assert read(row)["label"] == answer
        assert [vote.question for vote in label_studio.votes(row)] == [question]


def test_an_export_of_the_sdk_is_read_whole() -> None:
    kept, disagreed = [], 0
    for row in EXPORT:
        try:
            kept.append(read(row)["label"])
        except UnfitError as unfit:
            disagreed += str(unfit) == "annotators_disagree"
    assert (len(kept), disagreed) == (10, 2)
    assert kept[:3] == ["login_problem", "cancel_order", "track_order"]


def test_agreement_is_what_the_krippendorff_library_says() -> None:
    votes = [vote for row in EXPORT for vote in label_studio.votes(row)]
    assert label_studio.agreement(votes) == {
        "annotators": 3,
        "tasks_answered_twice": 8,
        "krippendorff_alpha": pytest.approx(0.6524390243902439, abs=5e-5),  # krippendorff 0.9.0
    }


def test_kappa_of_two_is_the_textbook_s() -> None:
    """Both yes 20 times, both no 15, and 5 and 10 times apart: kappa 0.4 (Cohen's kappa,
    Wikipedia's simple example)."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    votes = [
        Vote("ab"[k], str(n), pair[k], "choices") for n, pair in enumerate(pairs) for k in (0, 1)
    ]
    assert label_studio.agreement(votes)["cohen_kappa"] == 0.4
    assert label_studio.agreement([Vote("a", "1", "y", "choices")]) == {
        "annotators": 1,
        "tasks_answered_twice": 0,
    }


def test_an_annotation_that_is_none_is_no_vote() -> None:
    assert label_studio.votes({"id": 1, "annotations": [{"result": 5}, 7, {"result": [3]}]}) == []


def test_what_cannot_go_out_is_refused(tmp_path: Path) -> None:
    records.write(tmp_path / "test.jsonl", [said("question", "yes")])
    (tmp_path / "card.json").write_text("{}")
    for name, more, line in (
        ("card.json", [], "card.json:1: not a record; run `dvc repro`"),
        ("test.jsonl", ["--task", "nope"], "no record of task nope; correct --task"),
    ):
        done = CliRunner().invoke(label_studio.main, [str(tmp_path / name), str(tmp_path), *more])
        assert done.exit_code == 2 and line in done.output
    assert not (tmp_path / "tasks.json").exists()


def test_records_go_out_with_their_interface(tmp_path: Path) -> None:
    answers = ["refund", 'say "hi" & go']
    rows = [said(f"question {n}", answers[n % 2], language="en") for n in range(9)]
    records.write(tmp_path / "test.jsonl", rows)
    arguments = [str(tmp_path / "test.jsonl"), str(tmp_path / "out"), "--number", "3"]
    done = CliRunner().invoke(label_studio.main, arguments)
    assert done.exit_code == 0, done.output
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text("utf-8"))
    assert [task["data"]["record"] for task in tasks] == [rows[n].id for n in (0, 3, 6)]
    assert tasks[1]["predictions"][0]["result"][0]["value"] == {"choices": ['say "hi" & go']}
    view = ElementTree.parse(tmp_path / "out" / "config.xml").getroot()  # noqa: S314  # our own
    assert [choice.get("value") for choice in view.iter("Choice")] == ["refund", 'say "hi" & go']
