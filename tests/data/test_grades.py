"""Grades of people are found again, averaged and counted."""

from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.data import grades
from lockstep.errors import UserError
from lockstep.rating_entries import Entry
from lockstep.records import Record


def make_record(answer: str = "On Monday.", system: str = "Be kind.", task: str = "t") -> Record:
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": answer},
    ]
    return Record(messages=messages, task=task, source="a", origin="a:1")


def make_entry(rater: str, item: str, *ratings: int) -> Entry:
    named = dict(zip(grades.DIMENSIONS, ratings, strict=False))
    return Entry(place="a:1", rater=rater, item=item, ratings=named)


def test_a_grade_belongs_to_question_and_answer_alone() -> None:
    code = grades.make_code(make_record())
    assert grades.make_code(make_record(system="Be brief.", task="other")) == code
    assert grades.make_code(make_record("On Tuesday.")) != code
    assert grades.make_code(replace(make_record(), rejected="Never.")) != code


def test_grades_are_averaged_over_graders() -> None:
    entries = [make_entry("a", "a1", 5, 4, 3), make_entry("b", "a1", 4, 4)]
    assert grades.average_entries(entries) == {
        "a1": {"correct": 4.5, "complete": 4, "consistent": 3}
    }


def test_the_card_has_means_agreement_and_the_number_of_grades_without_a_record() -> None:
    entries = [
        *(make_entry("a", "a1", 5, 1), make_entry("b", "a1", 5, 1)),
        *(make_entry("a", "a2", 2, 1), make_entry("b", "a2", 2, 3)),
        make_entry("a", "a3", 4, 4),
    ]
    described = grades.describe_grades(entries, {"a1", "a2"})
    assert (described["records"], described["unmatched"]) == (2, 1)
    assert described["dimensions"]["correct"] == {
        "mean": pytest.approx(11 / 3, abs=5e-5),
        "annotators": 2, "tasks_answered_twice": 2, "krippendorff_alpha": 1.0, "cohen_kappa": 1.0,
    }  # fmt: skip
    assert described["dimensions"]["complete"]["mean"] == pytest.approx((1 + 2 + 4) / 3, abs=5e-5)
    assert described["dimensions"]["complete"]["krippendorff_alpha"] < 1
    assert described["dimensions"]["consistent"] == {"annotators": 0, "tasks_answered_twice": 0}


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.csv", "none.csv: not found; put it there"), ("a.pdf", "a.pdf: grades are in .csv, ")],
)
def test_a_file_that_holds_no_grades_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        grades.read_entries(tmp_path, [name])
    assert message in error.value.message and "prepare.quality.grades" in error.value.message


def test_an_export_of_label_studio_gives_the_grades_of_its_records() -> None:
    """grades.json comes from the form that lockstep.human.grading_form writes; see the README."""
    entries = grades.read_entries(Path(__file__).parent / "label_studio", ["grades.json"])
    messages = [
        {"role": "user", "content": "Can I return it?"},
        {"role": "assistant", "content": "Yes, within thirty days."},
    ]
    record = Record(messages=messages, task="t", source="a", origin="a:1")
    averages = grades.average_entries(entries)
    assert averages[grades.make_code(record)] == {"correct": 4.5, "complete": 2, "consistent": 4}
    described = grades.describe_grades(entries, averages)
    assert (described["records"], described["unmatched"]) == (3, 0)
    assert described["dimensions"]["correct"]["tasks_answered_twice"] == 2
