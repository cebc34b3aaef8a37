"""Replay gives the records of earlier rounds their share of the training rows."""

import pytest
from pydantic import ValidationError

from lockstep.augmentation.augment_params import AugmentParams
from lockstep.augmentation.replay import replay_records
from lockstep.errors import UserError
from lockstep.records import Record
from lockstep.training import training_rows

ROUNDS = {"old.csv": 0, "first.csv": 1, "second.csv": 2}


def make_records(source: str, number: int, weight: float = 1.0) -> list[Record]:
    return [
        Record(
            messages=[
                {"role": "user", "content": f"{source} {n}"},
                {"role": "assistant", "content": "a"},
            ],
            task="t", source=source, origin=source, weight=weight,
        )
        for n in range(number)
    ]  # fmt: skip


TRAIN = [
    *make_records("old.csv", 3000),
    *make_records("first.csv", 200, weight=5.0),
    *make_records("second.csv", 400, weight=2.0),
]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_earlier_rounds_are_the_share_of_the_rows_that_train_reads(share: float) -> None:
    replayed, counts = replay_records(TRAIN, ROUNDS, share)
    assert [record.id for record in replayed] == [record.id for record in TRAIN]
    rows = training_rows.repeat_by_weight(replayed)
    new = [record for record in rows if record.source == "second.csv"]
    assert len(new) == 800, "the last round keeps its weights"
    assert 1 - len(new) / len(rows) == pytest.approx(share, abs=0.03)
    assert counts == {
        "share": share,
        "old": {"records": 3200, "rows": len(rows) - 800},
        "new": {"records": 400, "rows": 800},
    }
    first = sum(record.weight for record in replayed if record.source == "first.csv")
    old = sum(record.weight for record in replayed if record.source == "old.csv")
    assert first / old == pytest.approx(1000 / 3000), "earlier rounds keep their proportions"


@pytest.mark.parametrize(
    ("rows", "rounds", "words"),
    [
        (TRAIN[:5], {"old.csv": 0}, "every source of prepare.sources is of round 0; set round: 1"),
        (TRAIN[:5], {"old.csv": 0, "new.csv": 1}, "no training record is of round 1"),
        (TRAIN[-5:], ROUNDS, "no training record is of a round before 2"),
    ],
)
def test_replay_without_old_or_new_records_is_refused(
    rows: list[Record], rounds: dict[str, int], words: str
) -> None:
    with pytest.raises(UserError, match=f"augment.replay: {words}"):
        replay_records(rows, rounds, 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValidationError):
        AugmentParams(replay=share)
