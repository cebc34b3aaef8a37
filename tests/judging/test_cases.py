"""The records that are judged: of each suite, evenly spread, answered by every variant."""

from pathlib import Path

import pytest

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.judging import cases
from lockstep.predictions import Prediction
from lockstep.records import Record
from tests.judging.settings import settings


def record(number: int, task: str = "reply") -> Record:
    turns = [
        {"role": "user", "content": f"Question {number}"},
        {"role": "assistant", "content": "yes"},
    ]
    return Record(messages=turns, task=task, source="a", origin=f"a:{number}")


ROWS = [record(n, "reply" if n % 2 else "intent") for n in range(20)]


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    records.write(tmp_path / "test.jsonl", ROWS)
    for variant in ("base", "merged"):
        (tmp_path / variant).mkdir()
        write(tmp_path, variant, ROWS)
    return tmp_path


def write(folder: Path, variant: str, rows: list[Record], score: float | None = 0.5) -> None:
    given = [
        Prediction(
            id=row.id, task=row.task, slices={}, question=row.question, prompt="", reference="yes",
            prediction=f"{variant} on {row.question}", score=score,
        )
        for row in rows
    ]  # fmt: skip
    predictions.write(folder / variant / "predictions.jsonl", given)


def test_the_records_of_a_suite_are_evenly_spread(evaluated: Path) -> None:
    found = cases.read(evaluated, evaluated / "test.jsonl", settings(records=5))
    assert [case.record.question for case in found] == [f"Question {n}" for n in (1, 5, 9, 13, 17)]
    assert found[0].answers == {"base": "base on Question 1", "merged": "merged on Question 1"}
    both = settings(records=99, suites=["intent", "reply"])
    found = cases.read(evaluated, evaluated / "test.jsonl", both)
    assert [case.record.task for case in found] == ["intent"] * 10 + ["reply"] * 10


def test_only_the_variants_that_are_judged_are_read(evaluated: Path) -> None:
    (evaluated / "base" / "predictions.jsonl").unlink()
    alone = settings(compare=[], score=["merged"])
    assert set(cases.read(evaluated, evaluated / "test.jsonl", alone)[0].answers) == {"merged"}
    with pytest.raises(
        UserError, match=r"base/predictions\.jsonl: not found; `dvc repro` makes it"
    ):
        cases.read(evaluated, evaluated / "test.jsonl", settings())


def test_an_answer_that_is_missing_is_one_line(evaluated: Path) -> None:
    line = rf"merged/predictions\.jsonl: no answer to {ROWS[1].id} of task reply; `dvc repro`"
    write(evaluated, "merged", ROWS[2:])
    with pytest.raises(UserError, match=line):
        cases.read(evaluated, evaluated / "test.jsonl", settings())
    write(evaluated, "merged", ROWS, score=None)
    with pytest.raises(UserError, match=line):
        cases.read(evaluated, evaluated / "test.jsonl", settings())


def test_a_suite_without_records_is_one_line(evaluated: Path) -> None:
    with pytest.raises(
        UserError, match=r"no test record has task slots; the tasks are intent, rep"
    ):
        cases.read(evaluated, evaluated / "test.jsonl", settings(suites=["slots"]))
