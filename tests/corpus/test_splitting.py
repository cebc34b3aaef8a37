"""No record is lost, near-identical inputs stay on one side, each stratum gives its share."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus import splitting
from stages.corpus.splitting import Split, Splits
from stages.records import Record

AUTO = {"a.csv": "auto", "t.csv": "test", "v.csv": "validation", "n.csv": "train"}


def row(question: str, answer: str = "yes", source: str = "a.csv", **slices: str) -> Record:
    return Record(
        messages=[
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        task="reply", source=source, origin=f"{source}:{question}", slices=slices,
    )  # fmt: skip


def shares(validation: float = 0.2, test: float = 0.3, by: tuple[str, ...] = ()) -> Split:
    return Split(validation=validation, test=test, by=list(by))


def letters(number: int) -> str:
    """A question without digits, as those count as one."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def sizes(splits: Splits) -> dict[str, int]:
    return {name: len(part) for name, part in splits.items()}


def side(splits: Splits, question: str) -> str:
    (name,) = {n for n, part in splits.items() for r in part if r.question == question}
    return name


@pytest.mark.parametrize(
    "text",
    ["Refund order 12!", "refund ORDER 99", "ｒｅｆｕｎｄ order １２", " refund-order: 4_7? "],
)
def test_near_identical_inputs_share_their_skeleton(text: str) -> None:
    assert splitting.skeleton(text) == "refundorder00"


@pytest.mark.parametrize("text", ["refund order", "refund order 123", "refunds order 12", "退款"])
def test_other_inputs_do_not(text: str) -> None:
    assert splitting.skeleton(text) != "refundorder00"


def test_the_first_of_equal_records_is_kept_and_the_others_are_named() -> None:
    first, again, other = row("a"), row("a", source="t.csv"), row("a", answer="no")
    fixed = {"a.csv": "auto", "t.csv": "auto"}
    kept, merged = splitting.merge_duplicates([first, other, again, again], fixed)
    assert kept == [first, other]
    assert merged == {"t.csv:a": "a.csv:a"}


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_training_takes_no_row_from_a_held_out_file(held_out: str) -> None:
    first, again = row("a"), row("a", source="t.csv")
    kept, merged = splitting.merge_duplicates([first, again], {"a.csv": "train", "t.csv": held_out})
    assert kept == [again]
    assert merged == {"a.csv:a": "t.csv:a"}


def test_shares_are_those_asked_for() -> None:
    rows = [row(letters(number)) for number in range(100)]
    assert sizes(splitting.split(rows, AUTO, shares(), seed=7)) == {
        "train": 50, "validation": 20, "test": 30,
    }  # fmt: skip
    assert sizes(splitting.split(rows, AUTO, shares(0, 0), seed=7)) == {
        "train": 100, "validation": 0, "test": 0,
    }  # fmt: skip


def test_each_stratum_gives_its_share() -> None:
    rows = [row(letters(n), language="en") for n in range(60)]
    rows += [row(letters(n), answer="no", language="zh") for n in range(100, 110)]
    by_language = splitting.split(rows, AUTO, shares(by=("language",)), seed=7)
    by_answer = splitting.split(rows, AUTO, shares(by=("task", "answer")), seed=7)
    for splits in (by_language, by_answer):
        for name, english, chinese in (("train", 30, 5), ("validation", 12, 2), ("test", 18, 3)):
            languages = [record.slices["language"] for record in splits[name]]
            assert (languages.count("en"), languages.count("zh")) == (english, chinese), name


def test_a_source_goes_to_the_split_it_asks_for() -> None:
    rows = [row(letters(n)) for n in range(20)]
    rows += [row("held out", source="t.csv"), row("tuned", source="v.csv")]
    rows += [row("learnt", source="n.csv")]
    splits = splitting.split(rows, AUTO, shares(0, 0), seed=7)
    assert [record.question for record in splits["test"]] == ["held out"]
    assert [record.question for record in splits["validation"]] == ["tuned"]
    assert len(splits["train"]) == 21


def test_near_identical_inputs_follow_the_most_held_out_of_them() -> None:
    rows = [row("Refund 1", source="n.csv"), row("refund 2"), row("refund, 3", source="t.csv")]
    rows += [row("Cancel 1", source="n.csv"), row("cancel 2!", source="v.csv")]
    assert sizes(splitting.split(rows, AUTO, shares(0, 0), seed=7)) == {
        "train": 0, "validation": 2, "test": 3,
    }  # fmt: skip


def test_rows_keep_their_order() -> None:
    rows = [row(letters(number)) for number in range(50)]
    for part in splitting.split(rows, AUTO, shares(), seed=7).values():
        assert part == [record for record in rows if record in part]


def test_the_seed_and_nothing_else_chooses() -> None:
    rows = [row(letters(number)) for number in range(100)]
    shuffled = random.Random(1).sample(rows, len(rows))

    def chosen(records: list[Record], seed: int) -> set[str]:
        return {r.id for r in splitting.split(records, AUTO, shares(), seed)["test"]}

    assert chosen(rows, 7) == chosen(rows, 7) == chosen(shuffled, 7)
    assert chosen(rows, 7) != chosen(rows, 8)


ROWS = st.lists(
    st.builds(
        row,
        st.text(alphabet="abA1! ", min_size=1, max_size=4),
        st.sampled_from(["yes", "no"]),
        st.sampled_from(sorted(AUTO)),
        language=st.sampled_from(["en", "zh"]),
    )
)


@given(ROWS, st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 9))
def test_counts_add_up_and_no_skeleton_is_on_two_sides(
    rows: list[Record], validation: float, test: float, seed: int
) -> None:
    kept, _ = splitting.merge_duplicates(rows, AUTO)
    asked = Split(validation=validation, test=test, by=["language", "answer"])
    splits = splitting.split(kept, AUTO, asked, seed)
    assert sorted(r.id for part in splits.values() for r in part) == sorted(r.id for r in kept)
    sides = [{splitting.skeleton(r.question) for r in part} for part in splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides))
    for record in kept:
        if AUTO[record.source] == "test":
            assert side(splits, record.question) == "test"
