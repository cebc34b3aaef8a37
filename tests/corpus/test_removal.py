"""Whatever the records: each is in one split or named as removed, and no split knows another's."""

import itertools
import json
import random
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corpus import duplicates, shingles, splitting
from stages.corpus.duplicates import Duplicates
from stages.corpus.removal import Removals
from stages.corpus.splitting import Split, Splits
from stages.records import Record

ASKED = {"a": "auto", "t": "test", "v": "validation", "n": "train"}
THRESHOLD = 0.8
WORDS = ["refund", "order", "包裹", "7", "!", "blue tent order refund"]


def said(words: list[str], answer: str, source: str, group: str) -> Record:
    text = " ".join(words)
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return Record(messages=turns, task="t", source=source, origin=f"{source}:{text}", group=group)


ROWS = st.lists(
    st.builds(
        said,
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
        st.sampled_from(["yes", "no"]),
        st.sampled_from(sorted(ASKED)),
        st.sampled_from(["", "", "u1", "u2"]),
    ),
    min_size=8,
    max_size=40,
)
CHOSEN = st.builds(
    lambda method, near, conflicts, test: (
        Duplicates(threshold=THRESHOLD, near=near, conflicts=conflicts),
        Split(method=method, validation=0.2, test=test, by=[], folds=0, fold=0, train_fraction=0.9),
    ),
    st.sampled_from(["hash", "quota"]),
    st.sampled_from(["group", "merge"]),
    st.sampled_from(["keep", "drop", "majority"]),
    st.sampled_from([0.0, 0.3]),
)


def divided(rows: list[Record], chosen: tuple[Duplicates, Split]) -> tuple[Splits, Removals]:
    same, split = chosen
    gone = Removals()
    kept = gone.settle_conflicts(gone.merge_duplicates(rows, ASKED), same)
    groups = gone.group_near(kept, ASKED, same)
    splits = splitting.split(groups, ASKED, split, seed=7)
    gone.drop_torn(splits, groups)
    gone.drop_contaminated(splits, ["blue tent order refund"], 4)
    gone.drop_unused(splits, split.train_fraction, seed=7)
    return splits, gone


def grams(text: str) -> shingles.Hashes:
    hashes = shingles.character_grams(shingles.normalize([text]), duplicates.CHARACTERS).hashes
    return np.unique(hashes)


@settings(deadline=None, max_examples=100)
@given(ROWS, CHOSEN)
def test_every_record_is_in_one_split_or_named(
    rows: list[Record], chosen: tuple[Duplicates, Split]
) -> None:
    splits, gone = divided(rows, chosen)
    kept = [record for part in splits.values() for record in part]
    assert len(kept) + len(gone.removed) == len(rows)
    assert sum(gone.counts.values()) == len(gone.removed)
    assert len({record.id for record in kept}) == len(kept)


@settings(deadline=None, max_examples=100)
@given(ROWS, CHOSEN)
def test_no_near_duplicate_and_no_group_is_in_two_splits(
    rows: list[Record], chosen: tuple[Duplicates, Split]
) -> None:
    splits, _ = divided(rows, chosen)
    for (one, ours), (other, theirs) in itertools.combinations(splits.items(), 2):
        for a, b in itertools.product(ours, theirs):
            alike = duplicates.jaccard(grams(a.asked), grams(b.asked))
            assert alike < THRESHOLD, (one, a.asked, other, b.asked)
            assert not a.group or (a.source, a.group) != (b.source, b.group)
    for name in ("train", "validation"):
        for record in splits[name]:
            assert "blue tent order refund" not in record.asked


@settings(deadline=None, max_examples=30)
@given(ROWS, st.integers(0, 99))
def test_the_order_of_the_rows_decides_nothing_but_their_order(
    rows: list[Record], seed: int
) -> None:
    unique = list({duplicates.input_key(row): row for row in rows}.values())
    shuffled = random.Random(seed).sample(unique, len(unique))
    chosen = (
        Duplicates(threshold=THRESHOLD, near="group", conflicts="keep"),
        Split(method="hash", validation=0.2, test=0.3, by=[], folds=0, fold=0, train_fraction=0.9),
    )
    (one, _), (other, _) = divided(unique, chosen), divided(shuffled, chosen)
    for name, part in one.items():
        assert {record.id for record in part} == {record.id for record in other[name]}


def test_a_removed_record_names_what_it_went_for(tmp_path: Path) -> None:
    rows = [
        said(["blue", "tent", "order"], "yes", "a", ""),
        said(["blue", "tent", "order", "!"], "yes", "t", ""),
    ]
    gone = Removals()
    assert gone.merge_duplicates(rows, ASKED) == [rows[1]]
    gone.write(tmp_path / "removed.jsonl")
    assert json.loads((tmp_path / "removed.jsonl").read_text()) == {
        "origin": "a:blue tent order",
        "reason": "duplicate",
        "because_of": "t:blue tent order !",
    }
