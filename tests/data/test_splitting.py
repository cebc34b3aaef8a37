"""No record is lost, groups stay whole, a record stays where it is when others come."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep.data import splitting, traits
from lockstep.data.splitting import HELD_OUT_FIRST, SplitParams
from lockstep.records import Record
from tests.data.rows import said, table

SIDES = {"a.csv": "auto", "t.csv": "test", "v.csv": "validation", "n.csv": "train"}
Groups = list[list[Record]]
Splits = dict[str, list[Record]]


def shares(**changed: object) -> SplitParams:
    values = {
        "method": "quota", "validation": 0.2, "test": 0.3, "by": [], "folds": 0, "fold": 0,
        "train_fraction": 1.0, **changed,
    }  # fmt: skip
    return SplitParams.model_validate(values)


def singles(count: int, answer: str = "yes", **slices: str) -> Groups:
    return [[said(f"question {number}", answer, "a.csv", **slices)] for number in range(count)]


def split(groups: Groups, chosen: SplitParams, seed: int = 7) -> Splits:
    """The records of each split, of groups that are given."""
    rows = [record for group in groups for record in group]
    numbers = [number for number, group in enumerate(groups) for _ in group]
    strata = [traits.of(record, with_answer=True).stratum(chosen.by) for record in rows]
    found = table(rows, seed)
    sides = splitting.split(
        np.array(numbers, np.int32),
        np.array([HELD_OUT_FIRST.index(SIDES[record.source]) for record in rows], np.int8),
        found.leader,
        found.side,
        np.array([strata.index(stratum) for stratum in strata], np.int32),
        chosen,
    )
    return {
        name: [row for row, side in zip(rows, sides, strict=True) if HELD_OUT_FIRST[side] == name]
        for name in ("train", "validation", "test")
    }


def sizes(splits: Splits) -> dict[str, int]:
    return {name: len(part) for name, part in splits.items()}


def sides(splits: Splits) -> dict[str, str]:
    return {record.id: name for name, part in splits.items() for record in part}


def test_quota_gives_the_shares_that_are_asked_for() -> None:
    groups = singles(100)
    assert sizes(split(groups, shares())) == {
        "train": 50, "validation": 20, "test": 30,
    }  # fmt: skip
    assert sizes(split(groups, shares(validation=0.0, test=0.0))) == {
        "train": 100, "validation": 0, "test": 0,
    }  # fmt: skip


def test_quota_holds_in_each_stratum() -> None:
    groups = singles(60, language="en") + singles(10, answer="no", language="zh")
    by_language = split(groups, shares(by=["language"]))
    by_answer = split(groups, shares(by=["task", "answer"]))
    for splits in (by_language, by_answer):
        for name, english, chinese in (("train", 30, 5), ("validation", 12, 2), ("test", 18, 3)):
            languages = [record.slices["language"] for record in splits[name]]
            assert (languages.count("en"), languages.count("zh")) == (english, chinese), name


def test_hash_gives_the_shares_on_average() -> None:
    found = sizes(split(singles(10_000), shares(method="hash")))
    # five standard deviations of a binomial of 10,000
    assert found["test"] == pytest.approx(3000, abs=5 * (10_000 * 0.3 * 0.7) ** 0.5)
    assert found["validation"] == pytest.approx(2000, abs=5 * (10_000 * 0.2 * 0.8) ** 0.5)


def test_a_source_goes_to_the_split_it_asks_for() -> None:
    groups = singles(20)
    groups += [[said("held out", source="t.csv")], [said("tuned", source="v.csv")]]
    groups += [[said("learnt", source="n.csv")]]
    splits = split(groups, shares(validation=0.0, test=0.0))
    assert [record.question for record in splits["test"]] == ["held out"]
    assert [record.question for record in splits["validation"]] == ["tuned"]
    assert len(splits["train"]) == 21


def test_a_group_follows_a_placed_member_and_two_placed_ones_are_torn() -> None:
    free, learnt, held = (
        said("a", source="a.csv"),
        said("a!", source="n.csv"),
        said("a?", source="t.csv"),
    )
    tuned, alone = said("b", source="v.csv"), said("b!", source="a.csv")
    groups = [[free, learnt, held], [tuned, alone]]
    splits = split(groups, shares())
    assert splits == {"train": [learnt], "validation": [tuned, alone], "test": [free, held]}


def test_a_test_set_that_its_source_makes_up_alone_is_not_added_to() -> None:
    free, held = said("a", source="a.csv"), said("a?", source="t.csv")
    splits = split([[free, held]], shares(test=0.0))
    assert splits == {"train": [free], "validation": [], "test": [held]}


def test_rows_keep_their_order() -> None:
    groups = singles(50)
    for method in ("hash", "quota"):
        splits = split(groups, shares(method=method, by=["task"]))
        for part in splits.values():
            assert part == [group[0] for group in groups if group[0] in part]


@pytest.mark.parametrize("method", ["hash", "quota"])
def test_the_seed_and_nothing_else_chooses(method: str) -> None:
    groups = singles(100)
    shuffled = random.Random(1).sample(groups, len(groups))

    def chosen(some: Groups, seed: int) -> set[str]:
        return {r.id for r in split(some, shares(method=method), seed)["test"]}

    assert chosen(groups, 7) == chosen(groups, 7) == chosen(shuffled, 7)
    assert chosen(groups, 7) != chosen(groups, 8)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_a_record_keeps_its_split_when_others_are_added(few: int, more: int, seed: int) -> None:
    chosen = shares(method="hash")
    before = sides(split(singles(few), chosen, seed))
    after = sides(split(singles(few + more), chosen, seed))
    assert before == {name: after[name] for name in before}


@pytest.mark.parametrize("method", ["hash", "quota"])
def test_each_record_is_tested_in_one_fold(method: str) -> None:
    groups = singles(97)
    tested: list[str] = []
    for fold in range(4):
        chosen = shares(method=method, folds=4, fold=fold, validation=0.1)
        splits = split(groups, chosen)
        tested += [record.id for record in splits["test"]]
        assert sum(sizes(splits).values()) == 97 and splits["validation"]
    assert sorted(tested) == sorted(group[0].id for group in groups)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 1}, "folds 0 or at least 2"),
        ({"folds": 3, "fold": 3}, "fold must be below folds"),
        ({"validation": 0.6, "test": 0.4}, "must leave something for training"),
        ({"validation": 0.5, "folds": 2}, "must leave something for training"),
    ],
)
def test_what_cannot_be_divided_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        shares(**values)


GROUPS = st.lists(
    st.lists(
        st.builds(
            said,
            st.text(min_size=1, max_size=4),
            st.sampled_from(["yes", "no"]),
            st.sampled_from(sorted(SIDES)),
            language=st.sampled_from(["en", "zh"]),
        ),
        min_size=1,
        max_size=3,
    )
)


@given(
    GROUPS,
    st.sampled_from(["hash", "quota"]),
    st.floats(0, 0.49),
    st.floats(0, 0.5),
    st.integers(0, 9),
)
def test_counts_add_up_and_no_free_group_is_torn(
    groups: Groups, method: str, validation: float, test: float, seed: int
) -> None:
    chosen = shares(method=method, validation=validation, test=test, by=["language", "answer"])
    splits = split(groups, chosen, seed)
    rows = [record for group in groups for record in group]
    assert sorted(r.origin for part in splits.values() for r in part) == sorted(
        r.origin for r in rows
    )
    places = {id(record): name for name, part in splits.items() for record in part}
    for group in groups:
        asked = {SIDES[record.source] for record in group} - {"auto"}
        if len(asked) < 2 and all(chosen.shares[name] for name in asked):
            assert len({places[id(record)] for record in group}) == 1
        for record in group:
            assert SIDES[record.source] in ("auto", places[id(record)])
