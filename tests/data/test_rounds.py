"""Records of a later round of continual learning move no record of an earlier one."""

import random
from string import ascii_lowercase as LETTERS
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import contamination
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.selection import Selection, select_records
from lockstep.records import Record
from tests.data.examples import build_table, make_record

ROUNDS = {"old": 0, "seen": 0, "first": 1, "second": 2}
SPLITS = {"old": "auto", "seen": "train", "first": "train", "second": "auto"}
WORDS = ["refund", "order", "tent", "parcel", "late", "blue", "7"]


def make_params(*names: str, **changes: Any) -> PrepareParams:
    source = {"format": "classification", "task": "t"}
    values = {
        "sources": [
            {**source, "path": name, "split": SPLITS[name], "round": ROUNDS[name]} for name in names
        ],
        "clean": [],
        "max_rejected_fraction": 0,
        "duplicates": {"threshold": 0.8, "near": "group", "conflicts": "keep"},
        "decontaminate": {"words": 4},
        "split": {"method": "stratified", "validation": 0.2, "test": 0.3},
    }
    return PrepareParams.model_validate({**values, **changes})


def select(rows: list[Record], *names: str, **changes: Any) -> Selection:
    """Select among the records of these sources."""
    table = build_table([row for row in rows if row.source in names], words=4)
    protected = contamination.protect_benchmarks({}, 4)
    return select_records(table, protected, make_params(*names, **changes), seed=7)


def list_split(selection: Selection, split: str, source: str) -> list[str]:
    found = (selection.table.load_record(row) for row in selection.get_split_rows(split).tolist())
    return sorted(record.id for record in found if record.source == source)


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(
            make_record,
            st.lists(st.sampled_from(WORDS), min_size=2, max_size=6).map(" ".join),
            st.sampled_from(["yes", "no"]),
            st.sampled_from(sorted(ROUNDS)),
        ),
        min_size=20,
        max_size=40,
    ),
    st.sampled_from(["group", "merge"]),
    st.sampled_from(["stratified", "quota", "hash"]),
)
def test_the_test_records_of_earlier_rounds_stay(
    rows: list[Record], near: str, method: str
) -> None:
    changes = {
        "duplicates": {"threshold": 0.8, "near": near, "conflicts": "keep"},
        "split": {"method": method, "validation": 0.2, "test": 0.3},
    }
    before = select(rows, "old", "seen", **changes)
    after = select(rows, *ROUNDS, **changes)
    tests = list_split(before, "test", "old")
    assert list_split(after, "test", "old") == tests
    training = {*list_split(before, "train", "old"), *list_split(before, "train", "seen")}
    assert {*list_split(after, "train", "old")} <= training | set(
        list_split(before, "validation", "old")
    )


def test_a_new_record_beside_an_old_test_record_is_removed_not_the_old_one() -> None:
    old = [make_record(f"{word} {word} {word}", source="old") for word in "abcdefghijklmnop"]
    tests = list_split(select(old, "old"), "test", "old")
    assert tests
    test = next(record for record in old if record.id == tests[0])
    copy = make_record(f"{test.question}.", "no", source="first")
    after = select([*old, copy], "old", "first")
    assert list_split(after, "test", "old") == tests
    assert [(r.origin, r.because_of) for r in after.removed] == [(copy.origin, test.origin)]


def test_a_later_round_is_divided_by_itself() -> None:
    generator = random.Random(0)
    rows, new = (
        [make_record("".join(generator.sample(LETTERS, 12)), source=name) for _ in range(40)]
        for name in ("old", "second")
    )
    after = select([*rows, *new], "old", "second")
    assert 11 <= len(list_split(after, "test", "second")) <= 13
    assert list_split(after, "test", "old") == list_split(select(rows, "old"), "test", "old")
