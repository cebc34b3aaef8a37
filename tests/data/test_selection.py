"""Whatever the records: each is in one split or named as removed, and no split knows another's."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import contamination, duplicates
from lockstep.data.duplicates import DuplicatesParams
from lockstep.data.selection import Selection
from lockstep.data.splitting import SplitParams
from lockstep.records import Record
from tests.data.rows import said, table

ASKED = {"a": "auto", "t": "test", "v": "validation", "n": "train"}
THRESHOLD = 0.8
Splits = dict[str, list[Record]]
WORDS = ["refund", "order", "包裹", "7", "!", "blue tent order refund"]


ROWS = st.lists(
    st.builds(
        said,
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
        st.sampled_from(["yes", "no"]),
        st.sampled_from(sorted(ASKED)),
        st.sampled_from(["", "", "u1", "u2"]),
    ),
    min_size=8,
    max_size=40,
)
CHOSEN = st.builds(
    lambda method, near, conflicts, test: (
        DuplicatesParams(threshold=THRESHOLD, near=near, conflicts=conflicts),
        SplitParams(
            method=method, validation=0.2, test=test, by=[], folds=0, fold=0, train_fraction=0.9
        ),
    ),
    st.sampled_from(["hash", "quota"]),
    st.sampled_from(["group", "merge"]),
    st.sampled_from(["keep", "drop", "majority"]),
    st.sampled_from([0.0, 0.3]),
)


def divided(
    rows: list[Record], chosen: tuple[DuplicatesParams, SplitParams]
) -> tuple[Splits, Selection]:
    same, split = chosen
    found = table(rows, threshold=THRESHOLD, words=4)
    selection = Selection(found, ASKED)
    selection.merge_duplicates()
    selection.settle_conflicts(same.conflicts)
    selection.group_near(same)
    selection.divide(split, split.by)
    selection.drop_contaminated(contamination.all_grams(["blue tent order refund"], 4))
    selection.drop_unused(split.train_fraction, seed=7)
    names = ("train", "validation", "test")
    return {
        name: [found.record(row) for row in selection.split(name).tolist()] for name in names
    }, selection


def similarity(one: str, other: str) -> float:
    """Of the sets of 5 characters in a row, without case, marks and the values of digits."""
    a, b = (
        {bare[at : at + 5] for at in range(max(1, len(bare) - 4))}
        for bare in ("".join(c for c in text.lower() if c.isalnum()) for text in (one, other))
    )
    return len(a & b) / len(a | b)


@settings(deadline=None, max_examples=100)
@given(ROWS, CHOSEN)
def test_every_record_is_in_one_split_or_named(
    rows: list[Record], chosen: tuple[DuplicatesParams, SplitParams]
) -> None:
    splits, gone = divided(rows, chosen)
    kept = [record for part in splits.values() for record in part]
    assert len(kept) + len(gone.removed) == len(rows)
    assert sum(gone.counts.values()) == len(gone.removed)
    assert len({record.id for record in kept}) == len(kept)


@settings(deadline=None, max_examples=100)
@given(ROWS, CHOSEN)
def test_no_near_duplicate_and_no_group_is_in_two_splits(
    rows: list[Record], chosen: tuple[DuplicatesParams, SplitParams]
) -> None:
    splits, _ = divided(rows, chosen)
    for (one, ours), (other, theirs) in itertools.combinations(splits.items(), 2):
        for a, b in itertools.product(ours, theirs):
            alike = similarity(a.user_text, b.user_text)
            assert alike < THRESHOLD, (one, a.user_text, other, b.user_text)
            assert not a.group or a.group != b.group
    for name in ("train", "validation"):
        for record in splits[name]:
            assert "blue tent order refund" not in record.user_text


@settings(deadline=None, max_examples=30)
@given(ROWS, st.integers(0, 99))
def test_the_order_of_the_rows_decides_nothing_but_their_order(
    rows: list[Record], seed: int
) -> None:
    unique = list({duplicates.input_key(row): row for row in rows}.values())
    shuffled = random.Random(seed).sample(unique, len(unique))
    chosen = (
        DuplicatesParams(threshold=THRESHOLD, near="group", conflicts="keep"),
        SplitParams(
            method="hash", validation=0.2, test=0.3, by=[], folds=0, fold=0, train_fraction=0.9
        ),
    )
    (one, _), (other, _) = divided(unique, chosen), divided(shuffled, chosen)
    for name, part in one.items():
        assert {record.id for record in part} == {record.id for record in other[name]}


def test_a_removed_record_names_what_it_went_for(tmp_path: Path) -> None:
    rows = [
        said("blue tent order", source="a"),
        said("blue tent order !", source="t"),
    ]
    selection = Selection(table(rows), ASKED)
    selection.merge_duplicates()
    assert selection.rows.tolist() == [1]
    selection.write(tmp_path / "removed.jsonl")
    assert json.loads((tmp_path / "removed.jsonl").read_text()) == {
        "origin": "a:blue tent order",
        "reason": "duplicate",
        "because_of": "t:blue tent order !",
    }


def test_a_smaller_part_of_training_lies_within_a_larger_one() -> None:
    found = table([said(f"question {number}", source="n") for number in range(1000)])

    def used(fraction: float) -> set[int]:
        selection = Selection(found, ASKED)
        selection.drop_unused(fraction, seed=7)
        return set(selection.split("train").tolist())

    assert used(0.25) < used(0.5) < used(1.0) == set(range(1000))
    assert len(used(0.5)) == pytest.approx(500, abs=5 * 1000**0.5 / 2)


def test_who_loses_a_conflict_names_one_that_stays() -> None:
    rows = [
        replace(said("where is it", answer), origin=origin)
        for origin, answer in zip("abcd", ("no", "maybe", "yes", "yes"), strict=True)
    ]
    rows[3] = replace(rows[3], desirable=True)  # or it were a duplicate
    gone = {}
    for policy in ("majority", "drop"):
        selection = Selection(table(rows), {"a": "auto"})
        selection.settle_conflicts(policy)
        gone[policy] = [(removed.origin, removed.because_of) for removed in selection.removed]
    assert gone["majority"] == [("a", "c"), ("b", "c")]
    assert gone["drop"] == [("a", "b"), ("b", "a"), ("c", "a"), ("d", "a")]
