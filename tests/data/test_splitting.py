"""Splits keep groups whole, lose no record, and do not change when records are added."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep.data import splitting
from lockstep.data.record_metadata import extract_metadata
from lockstep.data.splitting import PRIORITY, SPLITS, SplitParams
from lockstep.records import Record
from tests.data.examples import build_table, make_record

SOURCE_SPLITS = {"a.csv": "auto", "t.csv": "test", "v.csv": "validation", "n.csv": "train"}
Groups = list[list[Record]]
RecordsBySplit = dict[str, list[Record]]


def make_params(**changes: object) -> SplitParams:
    values = {"method": "quota", "validation": 0.2, "test": 0.3, **changes}
    return SplitParams.model_validate(values)


def make_singles(count: int, answer: str = "yes", **slices: str) -> Groups:
    """Return groups of one record each."""
    return [
        [make_record(f"question {number}", answer, "a.csv", **slices)] for number in range(count)
    ]


def split_groups(groups: Groups, params: SplitParams, seed: int = 7) -> RecordsBySplit:
    records = [record for group in groups for record in group]
    group_ids = [number for number, group in enumerate(groups) for _ in group]
    strata = [
        extract_metadata(record, with_answer=True).get_stratum(params.by) for record in records
    ]
    table = build_table(records, seed)
    split_ids = splitting.assign_splits(
        np.array(group_ids, np.int32),
        np.array([PRIORITY.index(SOURCE_SPLITS[record.source]) for record in records], np.int8),
        table.leader_keys,
        table.positions,
        np.array([strata.index(stratum) for stratum in strata], np.int32),
        params,
    )
    names = [PRIORITY[split_id] for split_id in split_ids]
    return {
        split: [record for record, name in zip(records, names, strict=True) if name == split]
        for split in SPLITS
    }


def count_records(splits: RecordsBySplit) -> dict[str, int]:
    return {name: len(records) for name, records in splits.items()}


def split_by_id(splits: RecordsBySplit) -> dict[str, str]:
    return {record.id: name for name, records in splits.items() for record in records}


def test_quota_gives_exact_shares() -> None:
    groups = make_singles(100)
    assert count_records(split_groups(groups, make_params())) == {
        "train": 50, "validation": 20, "test": 30,
    }  # fmt: skip
    assert count_records(split_groups(groups, make_params(validation=0.0, test=0.0))) == {
        "train": 100, "validation": 0, "test": 0,
    }  # fmt: skip


def test_quota_gives_exact_shares_in_each_stratum() -> None:
    groups = make_singles(60, language="en") + make_singles(10, answer="no", language="zh")
    by_language = split_groups(groups, make_params(by=["language"]))
    by_answer = split_groups(groups, make_params(by=["task", "answer"]))
    for splits in (by_language, by_answer):
        for name, english, chinese in (("train", 30, 5), ("validation", 12, 2), ("test", 18, 3)):
            languages = [record.slices["language"] for record in splits[name]]
            assert (languages.count("en"), languages.count("zh")) == (english, chinese), name


def test_hash_gives_the_shares_on_average() -> None:
    counts = count_records(split_groups(make_singles(10_000), make_params(method="hash")))
    # five standard deviations of a binomial distribution with 10,000 draws
    assert counts["test"] == pytest.approx(3000, abs=5 * (10_000 * 0.3 * 0.7) ** 0.5)
    assert counts["validation"] == pytest.approx(2000, abs=5 * (10_000 * 0.2 * 0.8) ** 0.5)


def test_records_go_to_the_split_that_their_source_names() -> None:
    groups = make_singles(20)
    groups += [[make_record("test", source="t.csv")], [make_record("validation", source="v.csv")]]
    groups += [[make_record("train", source="n.csv")]]
    splits = split_groups(groups, make_params(validation=0.0, test=0.0))
    assert [record.question for record in splits["test"]] == ["test"]
    assert [record.question for record in splits["validation"]] == ["validation"]
    assert len(splits["train"]) == 21


def test_free_records_of_a_group_go_to_the_highest_priority_split_of_its_sources() -> None:
    free, train, test = (
        make_record("a", source="a.csv"),
        make_record("a!", source="n.csv"),
        make_record("a?", source="t.csv"),
    )
    validation, other = make_record("b", source="v.csv"), make_record("b!", source="a.csv")
    splits = split_groups([[free, train, test], [validation, other]], make_params())
    assert splits == {"train": [train], "validation": [validation, other], "test": [free, test]}


def test_a_test_split_with_share_0_gets_only_the_records_of_its_sources() -> None:
    free, test = make_record("a", source="a.csv"), make_record("a?", source="t.csv")
    splits = split_groups([[free, test]], make_params(test=0.0))
    assert splits == {"train": [free], "validation": [], "test": [test]}


def test_records_keep_their_order() -> None:
    groups = make_singles(50)
    for method in ("hash", "quota"):
        splits = split_groups(groups, make_params(method=method, by=["task"]))
        for records in splits.values():
            assert records == [group[0] for group in groups if group[0] in records]


@pytest.mark.parametrize("method", ["hash", "quota"])
def test_the_result_depends_on_the_seed_and_not_on_the_order(method: str) -> None:
    groups = make_singles(100)
    shuffled = random.Random(1).sample(groups, len(groups))

    def list_test_ids(some_groups: Groups, seed: int) -> set[str]:
        splits = split_groups(some_groups, make_params(method=method), seed)
        return {record.id for record in splits["test"]}

    assert list_test_ids(groups, 7) == list_test_ids(groups, 7) == list_test_ids(shuffled, 7)
    assert list_test_ids(groups, 7) != list_test_ids(groups, 8)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_a_record_stays_in_its_split_when_records_are_added(few: int, more: int, seed: int) -> None:
    params = make_params(method="hash")
    before = split_by_id(split_groups(make_singles(few), params, seed))
    after = split_by_id(split_groups(make_singles(few + more), params, seed))
    assert before == {name: after[name] for name in before}


@pytest.mark.parametrize("method", ["hash", "quota"])
def test_each_record_is_in_the_test_split_of_one_fold(method: str) -> None:
    groups = make_singles(97)
    tested: list[str] = []
    for fold in range(4):
        params = make_params(method=method, folds=4, fold=fold, validation=0.1)
        splits = split_groups(groups, params)
        tested += [record.id for record in splits["test"]]
        assert sum(count_records(splits).values()) == 97 and splits["validation"]
    assert sorted(tested) == sorted(group[0].id for group in groups)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 1}, "folds 0 or at least 2"),
        ({"folds": 3, "fold": 3}, "fold must be below folds"),
        ({"validation": 0.6, "test": 0.4}, "must be below 1, to leave training records"),
        ({"validation": 0.5, "folds": 2}, "must be below 1, to leave training records"),
    ],
)
def test_impossible_shares_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_params(**values)


GROUPS = st.lists(
    st.lists(
        st.builds(
            make_record,
            st.text(min_size=1, max_size=4),
            st.sampled_from(["yes", "no"]),
            st.sampled_from(sorted(SOURCE_SPLITS)),
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
def test_no_record_is_lost_and_no_free_group_is_divided(
    groups: Groups, method: str, validation: float, test: float, seed: int
) -> None:
    params = make_params(method=method, validation=validation, test=test, by=["language", "answer"])
    splits = split_groups(groups, params, seed)
    origins = sorted(record.origin for group in groups for record in group)
    assert sorted(r.origin for records in splits.values() for r in records) == origins
    names = {id(record): name for name, records in splits.items() for record in records}
    for group in groups:
        source_splits = {SOURCE_SPLITS[record.source] for record in group} - {"auto"}
        if len(source_splits) < 2 and all(params.shares[name] for name in source_splits):
            assert len({names[id(record)] for record in group}) == 1
        for record in group:
            assert SOURCE_SPLITS[record.source] in ("auto", names[id(record)])
