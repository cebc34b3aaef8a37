"""Cases are an even sample of each suite's test records, answered by every variant."""

from pathlib import Path

import pytest

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.judging.cases import read_cases
from lockstep.predictions import Prediction
from lockstep.records import Record
from tests.judging.judge_settings import make_params


def make_record(number: int, task: str = "reply") -> Record:
    turns = [
        {"role": "user", "content": f"Question {number}"},
        {"role": "assistant", "content": "yes"},
    ]
    return Record(messages=turns, task=task, source="a", origin=f"a:{number}")


RECORDS = [make_record(n, "reply" if n % 2 else "intent") for n in range(20)]
FORMS = {"reply": "text", "intent": "choice"}


@pytest.fixture
def predictions_folder(tmp_path: Path) -> Path:
    """A folder with test.jsonl and the predictions of two variants."""
    records.write(tmp_path / "test.jsonl", RECORDS)
    for variant in ("base", "merged"):
        (tmp_path / variant).mkdir()
        write_predictions(tmp_path, variant, RECORDS)
    return tmp_path


def write_predictions(
    folder: Path, variant: str, rows: list[Record], forms: dict[str, str] = FORMS
) -> None:
    rows_of_variant = [
        Prediction(
            id=row.id, task=row.task, slices={}, question=row.question, prompt="", reference="yes",
            prediction=f"{variant} on {row.question}", answer_form=forms[row.task],
        )
        for row in rows
    ]  # fmt: skip
    predictions.write(folder / variant / "predictions.jsonl", rows_of_variant)


def test_the_records_of_a_suite_are_sampled_evenly(predictions_folder: Path) -> None:
    cases = read_cases(
        predictions_folder, predictions_folder / "test.jsonl", make_params(records=5)
    )
    assert [case.record.question for case in cases] == [f"Question {n}" for n in (1, 5, 9, 13, 17)]
    assert cases[0].answers == {"base": "base on Question 1", "merged": "merged on Question 1"}
    for variant in ("base", "merged"):
        write_predictions(predictions_folder, variant, RECORDS, {"reply": "text", "intent": "text"})
    both = make_params(records=99, suites=["intent", "reply"])
    cases = read_cases(predictions_folder, predictions_folder / "test.jsonl", both)
    assert [case.record.task for case in cases] == ["intent"] * 10 + ["reply"] * 10


def test_by_default_all_suites_with_free_text_answers_are_judged(predictions_folder: Path) -> None:
    settings = make_params(suites=[], records=3)
    cases = read_cases(predictions_folder, predictions_folder / "test.jsonl", settings)
    assert [case.record.task for case in cases] == ["reply"] * 3
    for variant in ("base", "merged"):
        write_predictions(predictions_folder, variant, RECORDS, {"reply": "text", "intent": "text"})
    cases = read_cases(predictions_folder, predictions_folder / "test.jsonl", settings)
    assert [case.record.task for case in cases] == ["intent"] * 3 + ["reply"] * 3
    for variant in ("base", "merged"):
        write_predictions(
            predictions_folder, variant, RECORDS, {"reply": "json", "intent": "choice"}
        )
    with pytest.raises(UserError, match=r"judge\.suites: no suite has free-text answers"):
        read_cases(predictions_folder, predictions_folder / "test.jsonl", settings)


def test_only_the_judged_variants_are_read(predictions_folder: Path) -> None:
    (predictions_folder / "base" / "predictions.jsonl").unlink()
    only_merged = make_params(compare=[], score=["merged"])
    cases = read_cases(predictions_folder, predictions_folder / "test.jsonl", only_merged)
    assert set(cases[0].answers) == {"merged"}
    with pytest.raises(UserError, match=r"base/predictions\.jsonl: not found; run `dvc repro`"):
        read_cases(predictions_folder, predictions_folder / "test.jsonl", make_params())


def test_a_missing_answer_is_refused_in_one_line(predictions_folder: Path) -> None:
    line = rf"merged/predictions\.jsonl: no answer to record {RECORDS[1].id} of task reply; run"
    write_predictions(predictions_folder, "merged", RECORDS[2:])
    with pytest.raises(UserError, match=line):
        read_cases(predictions_folder, predictions_folder / "test.jsonl", make_params())
    write_predictions(predictions_folder, "merged", RECORDS, {"reply": "", "intent": "choice"})
    with pytest.raises(UserError, match=line):
        read_cases(predictions_folder, predictions_folder / "test.jsonl", make_params())


@pytest.mark.parametrize("suite", ["slots", "intent"])
def test_a_suite_without_free_text_answers_is_refused_in_one_line(
    predictions_folder: Path, suite: str
) -> None:
    line = rf"judge\.suites: {suite} is no suite with free-text answers; known: reply"
    with pytest.raises(UserError, match=line):
        read_cases(
            predictions_folder, predictions_folder / "test.jsonl", make_params(suites=[suite])
        )


def test_few_shot_suites_are_not_judged(predictions_folder: Path) -> None:
    """Their records are not in the test split."""
    path = predictions_folder / "base/predictions.jsonl"
    few_shot = Prediction(
        id="few", task="reply-2-shot", slices={"zero_shot": RECORDS[1].id}, question="?",
        prompt="", reference="yes", prediction="no", answer_form="text",
    )  # fmt: skip
    predictions.write(path, [*predictions.read(path), few_shot])
    settings, test = make_params(records=99), predictions_folder / "test.jsonl"
    assert {case.record.task for case in read_cases(predictions_folder, test, settings)} == {
        "reply"
    }
    with pytest.raises(UserError, match=r"judge\.suites: reply-2-shot is no suite"):
        read_cases(predictions_folder, test, make_params(suites=["reply-2-shot"]))
