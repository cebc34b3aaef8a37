"""Weights give each slice value its share and change nothing else."""

import pytest
from pydantic import ValidationError

from lockstep.augmentation import mixing
from lockstep.augmentation.mixing import Mix
from lockstep.errors import UserError
from lockstep.records import Record


def make_record(number: int, task: str, weight: float, **slices: str) -> Record:
    turns = [
        {"role": "user", "content": f"q{number}"},
        {"role": "assistant", "content": "a"},
    ]
    return Record(messages=turns, task=task, source="a", origin="a", slices=slices, weight=weight)


RECORDS = [
    *(make_record(n, "intent", 1.0, language="en") for n in range(6)),
    *(make_record(n, "slots", 2.0, language="zh") for n in range(6, 8)),
    make_record(9, "text", 3.0),
]


def test_each_value_has_its_share_of_the_weight() -> None:
    mixed = mixing.reweight_records(RECORDS, Mix(slice="language", shares={"en": 0.25, "zh": 0.75}))
    weights = {
        name: sum(record.weight for record in mixed if record.slices.get("language") == name)
        for name in ("en", "zh")
    }
    assert weights == pytest.approx({"en": 2.5, "zh": 7.5}), "of a total of 10"
    assert mixed[-1].weight == 3.0, "a record without the slice keeps its weight"
    assert [record.id for record in mixed] == [record.id for record in RECORDS]


def test_tasks_get_their_shares_too() -> None:
    shares = {"intent": 0.5, "slots": 0.3, "text": 0.2}
    mixed = mixing.reweight_records(RECORDS, Mix(slice="task", shares=shares))
    total = sum(record.weight for record in RECORDS)
    for task, share in shares.items():
        assert sum(r.weight for r in mixed if r.task == task) == pytest.approx(share * total)


@pytest.mark.parametrize("shares", [{"en": 1.0}, {"en": 0.5, "zh": 0.6}, {"en": 1.5, "zh": -0.5}])
def test_invalid_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Mix(slice="language", shares=shares)


@pytest.mark.parametrize("shares", [{"en": 0.5, "fr": 0.5}, {"en": 0.2, "zh": 0.3, "fr": 0.5}])
def test_values_must_be_the_same_in_the_shares_and_the_records(shares: dict[str, float]) -> None:
    with pytest.raises(
        UserError, match=r"augment\.mix: language (fr|zh) must be both in the shares"
    ):
        mixing.reweight_records(RECORDS, Mix(slice="language", shares=shares))
