"""No record is lost, groups stay whole, a record stays where it is when others come."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.corpus import splitting
from stages.corpus.splitting import Split, Splits
from stages.records import Record

AUTO = {"a.csv": "auto", "t.csv": "test", "v.csv": "validation", "n.csv": "train"}
Groups = list[list[Record]]


def row(question: str, answer: str = "yes", source: str = "a.csv", **slices: str) -> Record:
    return Record(
        messages=[
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        task="reply", source=source, origin=f"{source}:{question}", slices=slices,
    )  # fmt: skip


def shares(**changed: object) -> Split:
    values = {
        "method": "quota", "validation": 0.2, "test": 0.3, "by": [], "folds": 0, "fold": 0,
        "train_fraction": 1.0, **changed,
    }  # fmt: skip
    return Split.model_validate(values)


def singles(count: int, **slices: str) -> Groups:
    return [[row(f"question {number}", **slices)] for number in range(count)]


def sizes(splits: Splits) -> dict[str, int]:
    return {name: len(part) for name, part in splits.items()}


def sides(splits: Splits) -> dict[str, str]:
    return {record.id: name for name, part in splits.items() for record in part}


def test_quota_gives_the_shares_that_are_asked_for() -> None:
    groups = singles(100)
    assert sizes(splitting.split(groups, AUTO, shares(), seed=7)) == {
        "train": 50, "validation": 20, "test": 30,
    }  # fmt: skip
    assert sizes(splitting.split(groups, AUTO, shares(validation=0.0, test=0.0), seed=7)) == {
        "train": 100, "validation": 0, "test": 0,
    }  # fmt: skip


def test_quota_holds_in_each_stratum() -> None:
    groups = singles(60, language="en") + singles(10, answer="no", language="zh")
    by_language = splitting.split(groups, AUTO, shares(by=["language"]), seed=7)
    by_answer = splitting.split(groups, AUTO, shares(by=["task", "answer"]), seed=7)
    for splits in (by_language, by_answer):
        for name, english, chinese in (("train", 30, 5), ("validation", 12, 2), ("test", 18, 3)):
            languages = [record.slices["language"] for record in splits[name]]
            assert (languages.count("en"), languages.count("zh")) == (english, chinese), name


def test_hash_gives_the_shares_on_average() -> None:
    found = sizes(splitting.split(singles(10_000), AUTO, shares(method="hash"), seed=7))
    # five standard deviations of a binomial of 10,000
    assert found["test"] == pytest.approx(3000, abs=5 * (10_000 * 0.3 * 0.7) ** 0.5)
    assert found["validation"] == pytest.approx(2000, abs=5 * (10_000 * 0.2 * 0.8) ** 0.5)


def test_a_source_goes_to_the_split_it_asks_for() -> None:
    groups = singles(20)
    groups += [[row("held out", source="t.csv")], [row("tuned", source="v.csv")]]
    groups += [[row("learnt", source="n.csv")]]
    splits = splitting.split(groups, AUTO, shares(validation=0.0, test=0.0), seed=7)
    assert [record.question for record in splits["test"]] == ["held out"]
    assert [record.question for record in splits["validation"]] == ["tuned"]
    assert len(splits["train"]) == 21


def test_a_group_follows_a_placed_member_and_two_placed_ones_are_torn() -> None:
    free, learnt, held = row("a"), row("a!", source="n.csv"), row("a?", source="t.csv")
    tuned, alone = row("b", source="v.csv"), row("b!")
    groups = [[free, learnt, held], [tuned, alone]]
    splits = splitting.split(groups, AUTO, shares(), seed=7)
    assert splits == {"train": [learnt], "validation": [tuned, alone], "test": [free, held]}
    assert splitting.torn(splits, groups) == [(learnt, "test")]


def test_a_test_set_that_its_source_makes_up_alone_is_not_added_to() -> None:
    free, held = row("a"), row("a?", source="t.csv")
    splits = splitting.split([[free, held]], AUTO, shares(test=0.0), seed=7)
    assert splits == {"train": [free], "validation": [], "test": [held]}
    assert splitting.torn(splits, [[free, held]]) == [(free, "test")]


def test_rows_keep_their_order() -> None:
    groups = singles(50)
    for method in ("hash", "quota"):
        splits = splitting.split(groups, AUTO, shares(method=method, by=["task"]), seed=7)
        for part in splits.values():
            assert part == [group[0] for group in groups if group[0] in part]


@pytest.mark.parametrize("method", ["hash", "quota"])
def test_the_seed_and_nothing_else_chooses(method: str) -> None:
    groups = singles(100)
    shuffled = random.Random(1).sample(groups, len(groups))

    def chosen(some: Groups, seed: int) -> set[str]:
        return {r.id for r in splitting.split(some, AUTO, shares(method=method), seed)["test"]}

    assert chosen(groups, 7) == chosen(groups, 7) == chosen(shuffled, 7)
    assert chosen(groups, 7) != chosen(groups, 8)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_a_record_keeps_its_split_when_others_are_added(few: int, more: int, seed: int) -> None:
    chosen = shares(method="hash")
    before = sides(splitting.split(singles(few), AUTO, chosen, seed))
    after = sides(splitting.split(singles(few + more), AUTO, chosen, seed))
    assert before == {name: after[name] for name in before}


@pytest.mark.parametrize("method", ["hash", "quota"])
def test_each_record_is_tested_in_one_fold(method: str) -> None:
    groups = singles(97)
    tested: list[str] = []
    for fold in range(4):
        chosen = shares(method=method, folds=4, fold=fold, validation=0.1)
        splits = splitting.split(groups, AUTO, chosen, seed=7)
        tested += [record.id for record in splits["test"]]
        assert sum(sizes(splits).values()) == 97 and splits["validation"]
    assert sorted(tested) == sorted(group[0].id for group in groups)


def test_a_smaller_part_lies_within_a_larger_one() -> None:
    rows = [group[0] for group in singles(1000)]
    quarter, half = (splitting.part(rows, fraction, seed=7) for fraction in (0.25, 0.5))
    assert {r.id for r in quarter} < {r.id for r in half}
    assert len(half) == pytest.approx(500, abs=5 * 1000**0.5 / 2)
    assert splitting.part(rows, 1.0, seed=7) == rows


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
            row,
            st.text(min_size=1, max_size=4),
            st.sampled_from(["yes", "no"]),
            st.sampled_from(sorted(AUTO)),
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
    splits = splitting.split(groups, AUTO, chosen, seed)
    rows = [record for group in groups for record in group]
    assert sorted(r.origin for part in splits.values() for r in part) == sorted(
        r.origin for r in rows
    )
    places = {id(record): name for name, part in splits.items() for record in part}
    for group in groups:
        asked = {AUTO[record.source] for record in group} - {"auto"}
        if len(asked) < 2 and all(chosen.shares[name] for name in asked):
            assert len({places[id(record)] for record in group}) == 1
        for record in group:
            assert AUTO[record.source] in ("auto", places[id(record)])
