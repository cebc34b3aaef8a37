"""Each record is in one split or listed as removed, and no split leaks into another."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import contamination, record_keys
from lockstep.data.duplicates import DuplicatesParams
from lockstep.data.selection import Selection
from lockstep.data.splitting import SPLITS, SplitParams
from lockstep.records import Record
from tests.data.examples import build_table, make_record

SOURCE_SPLITS = {"a": "auto", "t": "test", "v": "validation", "n": "train"}
THRESHOLD = 0.8
BENCHMARK = "blue tent order refund"
WORDS = ["refund", "order", "包裹", "7", "!", BENCHMARK]

RECORDS = st.lists(
    st.builds(
        make_record,
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
        st.sampled_from(["yes", "no"]),
        st.sampled_from(sorted(SOURCE_SPLITS)),
        st.sampled_from(["", "", "u1", "u2"]),
    ),
    min_size=8,
    max_size=40,
)
DUPLICATES = st.builds(
    DuplicatesParams,
    threshold=st.just(THRESHOLD),
    near=st.sampled_from(["group", "merge"]),
    conflicts=st.sampled_from(["keep", "drop", "majority"]),
)
SPLIT = st.builds(
    SplitParams,
    method=st.sampled_from(["stratified", "hash", "quota"]),
    validation=st.just(0.2),
    test=st.sampled_from([0.0, 0.3]),
    train_fraction=st.just(0.9),
)


def select_records(
    records: list[Record], duplicates_params: DuplicatesParams, split_params: SplitParams
) -> tuple[dict[str, list[Record]], Selection]:
    """Return the records of each split, and the selection."""
    table = build_table(records, threshold=THRESHOLD, words=4)
    selection = Selection(table, SOURCE_SPLITS)
    selection.merge_duplicates()
    selection.resolve_conflicts(duplicates_params.conflicts)
    selection.group_near_duplicates(duplicates_params)
    selection.assign_splits(split_params, strata=[])
    benchmarks = {"b.csv": [("b.csv:1", BENCHMARK)]}
    selection.remove_contaminated(contamination.protect_benchmarks(benchmarks, 4), 4)
    selection.reduce_training(split_params.train_fraction, seed=7)
    splits = {
        name: [table.load_record(row) for row in selection.get_split_rows(name).tolist()]
        for name in SPLITS
    }
    return splits, selection


def compute_jaccard_similarity(text: str, other: str) -> float:
    """Return the similarity of the sets of character 5-grams, without case and punctuation."""
    a, b = (
        {letters[i : i + 5] for i in range(max(1, len(letters) - 4))}
        for letters in ("".join(c for c in s.lower() if c.isalnum()) for s in (text, other))
    )
    return len(a & b) / len(a | b)


@settings(deadline=None, max_examples=100)
@given(RECORDS, DUPLICATES, SPLIT)
def test_each_record_is_in_one_split_or_removed(
    records: list[Record], duplicates_params: DuplicatesParams, split_params: SplitParams
) -> None:
    splits, selection = select_records(records, duplicates_params, split_params)
    records_in_splits = [record for split in splits.values() for record in split]
    assert len(records_in_splits) + len(selection.removed) == len(records)
    assert sum(selection.removal_counts.values()) == len(selection.removed)
    assert len({record.id for record in records_in_splits}) == len(records_in_splits)


@settings(deadline=None, max_examples=100)
@given(RECORDS, DUPLICATES, SPLIT)
def test_no_near_duplicate_group_or_benchmark_crosses_splits(
    records: list[Record], duplicates_params: DuplicatesParams, split_params: SplitParams
) -> None:
    splits, _ = select_records(records, duplicates_params, split_params)
    for first, second in itertools.combinations(splits.values(), 2):
        for a, b in itertools.product(first, second):
            if a.user_text.count("7") == b.user_text.count("7"):  # another number is no duplicate
                assert compute_jaccard_similarity(a.user_text, b.user_text) < THRESHOLD
            assert not a.group or a.group != b.group
    for name in ("train", "validation"):
        for record in splits[name]:
            assert BENCHMARK not in record.user_text


@settings(deadline=None, max_examples=30)
@given(RECORDS, st.integers(0, 99), st.sampled_from(["stratified", "hash"]))
def test_the_order_of_the_rows_does_not_change_the_splits(
    records: list[Record], seed: int, method: str
) -> None:
    keys, _ = record_keys.compute_keys(records)
    inputs = map(tuple, keys.inputs.tolist())
    unique = list(dict(zip(inputs, records, strict=True)).values())
    shuffled = random.Random(seed).sample(unique, len(unique))
    params = (
        DuplicatesParams(threshold=THRESHOLD, near="group", conflicts="keep"),
        SplitParams.model_validate(
            {"method": method, "validation": 0.2, "test": 0.3, "train_fraction": 0.9}
        ),
    )
    (splits, _), (shuffled_splits, _) = (
        select_records(unique, *params),
        select_records(shuffled, *params),
    )
    for name, split in splits.items():
        assert {record.id for record in split} == {record.id for record in shuffled_splits[name]}


def test_a_removed_record_names_its_cause(tmp_path: Path) -> None:
    records = [
        make_record("blue tent order", source="a"),
        make_record("blue tent order !", source="t"),
    ]
    selection = Selection(build_table(records), SOURCE_SPLITS)
    selection.merge_duplicates()
    assert selection.rows.tolist() == [1]
    selection.write_removed(tmp_path / "removed.jsonl")
    assert json.loads((tmp_path / "removed.jsonl").read_text()) == {
        "origin": "a:blue tent order",
        "reason": "duplicate",
        "because_of": "t:blue tent order !",
    }


def test_a_smaller_share_of_training_is_a_subset_of_a_larger_one() -> None:
    table = build_table([make_record(f"question {number}", source="n") for number in range(1000)])

    def select_training_rows(fraction: float) -> set[int]:
        selection = Selection(table, SOURCE_SPLITS)
        selection.reduce_training(fraction, seed=7)
        return set(selection.get_split_rows("train").tolist())

    assert (
        select_training_rows(0.25)
        < select_training_rows(0.5)
        < select_training_rows(1.0)
        == set(range(1000))
    )
    assert len(select_training_rows(0.5)) == pytest.approx(500, abs=5 * 1000**0.5 / 2)


def test_records_that_follow_one_with_a_split_of_its_own_are_not_divided() -> None:
    """They say nothing about the division, so they cause no drift."""
    follower, other = "where is my order with the blue tent", "refund the toaster of order nine"
    records = [
        make_record(follower, source="a"),
        make_record(f"{follower} now", source="t"),
        make_record(other, source="a"),
    ]
    selection = Selection(build_table(records), SOURCE_SPLITS)
    selection.group_near_duplicates(
        DuplicatesParams(threshold=THRESHOLD, near="group", conflicts="keep")
    )
    selection.assign_splits(SplitParams(method="hash", validation=0.0, test=1e-6), strata=[])
    assert selection.get_split_rows("test").tolist() == [0, 1], "the follower is in the test split"
    sizes = {name: len(rows) for name, rows in selection.divided_statistics().items()}
    assert sizes == {"train": 1, "validation": 0, "test": 0}
    assert selection.compute_average_group_size() == 1


def test_an_answer_removed_in_a_conflict_names_a_kept_record() -> None:
    answers = {"a": "no", "b": "maybe", "c": "yes", "d": "yes"}
    records = [
        replace(make_record("where is it", answer), origin=origin)
        for origin, answer in answers.items()
    ]
    causes = {}
    for policy in ("majority", "drop"):
        selection = Selection(build_table(records), SOURCE_SPLITS)
        selection.resolve_conflicts(policy)
        causes[policy] = [(removed.origin, removed.because_of) for removed in selection.removed]
    assert causes["majority"] == [("a", "c"), ("b", "c")]
    assert causes["drop"] == [("a", "b"), ("b", "a"), ("c", "a"), ("d", "a")]


def test_different_right_calls_of_one_question_are_a_conflict() -> None:
    question = make_record("where is it")
    calls = [[{"name": "track", "accepted_arguments": {"n": values}}] for values in ([1], [1, 2])]
    records = [
        replace(question, accepted_calls=accepted, origin=str(number))
        for number, accepted in enumerate([*calls, calls[0]])
    ]
    selection = Selection(build_table(records), SOURCE_SPLITS)
    selection.resolve_conflicts("majority")
    selection.merge_duplicates()
    assert selection.conflict_count == 1
    assert [(removed.origin, removed.reason) for removed in selection.removed] == [
        ("1", "conflict"), ("2", "duplicate"),
    ]  # fmt: skip


def group_near_duplicates(records: list[Record], near: str) -> Selection:
    """Return a selection of the records after grouping, in which all sources are divided."""
    selection = Selection(build_table(records), SOURCE_SPLITS)
    selection.group_near_duplicates(
        DuplicatesParams.model_validate({"threshold": THRESHOLD, "near": near, "conflicts": "keep"})
    )
    return selection


QUESTION = "please tell me where the blue tent of my order is"


def test_merging_keeps_what_differs_in_numbers_signs_system_turn_tools_or_task() -> None:
    base = make_record(f"{QUESTION} now")
    system = {"role": "system", "content": "Answer in French."}
    records = [
        make_record(QUESTION),
        base,
        make_record(f"{QUESTION} 12 now"),
        make_record(f"{QUESTION} + now"),
        replace(base, messages=[system, *base.messages]),
        replace(base, tools=[{"type": "function", "function": {"name": "track"}}]),
        replace(base, task="other"),
    ]
    selection = group_near_duplicates(records, "merge")
    assert selection.rows.tolist() == [0, 2, 3, 4, 5, 6]
    assert [removed.origin for removed in selection.removed] == [base.origin]
    assert {*selection.groups.tolist()} == {0}, "similar questions stay in one split"


def test_a_connection_over_another_context_is_none() -> None:
    """The first and the last record are near-duplicates, whatever stands between them."""
    system = {"role": "system", "content": "Answer in French."}
    records = [make_record(f"{QUESTION}{end}") for end in (" a", " b", " c", " d")]
    for index in (0, 2):
        records[index] = replace(records[index], messages=[system, *records[index].messages])
    groups = group_near_duplicates(records, "group").near_groups.tolist()
    assert groups[0] == groups[2] != groups[1] == groups[3]


def test_merging_keeps_all_answers_to_the_question_that_stays() -> None:
    """Preference pairs and ratings of one question are no near-duplicates of each other."""
    pair = replace(make_record(QUESTION, "Apple"), rejected="Stone")
    records = [
        pair,
        replace(pair, rejected="Chair"),
        replace(make_record(f"{QUESTION} now", "Pear"), rejected="Stone"),
    ]
    assert group_near_duplicates(records, "merge").rows.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("pairs", "groups"),
    [
        ([("order 12", "It is late."), ("order 47", "It is late.")], 1),
        ([("order 12", "12 comes in 3 days"), ("order 47", "47 comes in 3 days")], 1),
        ([("12 plus 30", "42"), ("47 plus 30", "77")], 2),
        ([("order 12", "It is late."), ("order", "It is late.")], 1),
    ],
)
def test_questions_that_differ_in_a_number_stay_together_unless_the_answer_depends_on_it(
    pairs: list[tuple[str, str]], groups: int
) -> None:
    records = [make_record(f"{QUESTION} {end}", answer) for end, answer in pairs]
    selection = group_near_duplicates(records, "merge")
    assert len(selection.rows) == 2
    assert len({*selection.groups.tolist()}) == groups


def split_by_sources(*records: Record, words: int = 0) -> list[tuple[str, str, str]]:
    """Return (origin, reason, cause) of what is removed if each source names its split."""
    selection = Selection(build_table(list(records), words=words), SOURCE_SPLITS)
    selection.group_near_duplicates(
        DuplicatesParams(threshold=THRESHOLD, near="group", conflicts="keep")
    )
    selection.assign_splits(SplitParams(method="hash", validation=0.1, test=0.1), strata=[])
    benchmarks = {"b.csv": [("b.csv:2", "something"), ("b.csv:3", f"note: {BENCHMARK}")]}
    selection.remove_contaminated(contamination.protect_benchmarks(benchmarks, words), words)
    return [(row.origin, row.reason, row.because_of) for row in selection.removed]


def test_a_record_removed_for_a_test_record_names_it() -> None:
    train, test = make_record(QUESTION, source="n"), make_record(f"{QUESTION} now", source="t")
    assert split_by_sources(train, test) == [(train.origin, "near_duplicate", test.origin)]
    grouped = [make_record("hello", source="n", group="u"), make_record("bye", "x", "t", "u")]
    assert split_by_sources(*grouped) == [(grouped[0].origin, "group", grouped[1].origin)]
    long = make_record("why is the lamp broken and when will another one come", source="t")
    part = make_record("when will another one come, I asked before, in vain", source="n")
    assert split_by_sources(test, long, part, words=5) == [
        (part.origin, "contaminated", long.origin)
    ]


def test_a_record_removed_for_a_benchmark_names_its_row() -> None:
    train = make_record(f"hello {BENCHMARK}", source="n")
    assert split_by_sources(train, words=4) == [(train.origin, "contaminated", "b.csv:3")]


def test_another_number_or_system_turn_than_in_a_test_file_stays_in_training() -> None:
    system = {"role": "system", "content": "Answer in French."}
    train = make_record(QUESTION, source="n")
    train = replace(train, messages=[system, *train.messages])
    numbered = make_record(f"{QUESTION} 12", source="n")
    tests = [make_record(QUESTION, source="t"), make_record(f"{QUESTION} 47", source="t")]
    assert split_by_sources(train, numbered, *tests) == []


def test_several_preferences_or_ratings_are_no_conflict() -> None:
    answers = [make_record("a", "x"), make_record("a", "y")]
    for change in ({"rejected": "z"}, {"desirable": True}, {"desirable": False}):
        records = [replace(record, **change) for record in answers]
        selection = Selection(build_table(records), SOURCE_SPLITS)
        selection.resolve_conflicts("drop")
        assert (selection.conflict_count, selection.removed) == (0, [])
    selection = Selection(build_table(answers), SOURCE_SPLITS)
    selection.resolve_conflicts("drop")
    assert len(selection.removed) == 2
