"""Stratified splits: shares hold in each stratum, and few records move when the data grows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import stratified_split
from lockstep.data.stratified_split import Strata

TEST, VALIDATION, TRAIN = range(3)
Splits = npt.NDArray[np.int64]

SHARES = st.tuples(st.floats(0.02, 0.4), st.floats(0.02, 0.4))
STRATA_SIZES = st.lists(st.integers(1, 120), min_size=1, max_size=12)


def make_strata(sizes: Sequence[int]) -> Strata:
    """Return strata of these sizes, two or three of which have the first name in common."""
    values = [(str(number // 3), str(number)) for number in range(len(sizes))]
    return Strata(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes), values)


def split(
    strata: Strata,
    positions: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64] | None = None,
    shares: tuple[float, float] = (0.12, 0.08),
    fold: int = 0,
) -> Splits:
    """Return the split of each record; by default each record is a group."""
    groups = np.arange(len(strata.ids)) if groups is None else groups
    is_test, is_validation = stratified_split.divide_groups(
        groups, positions, strata, test=shares[0], validation=shares[1], fold=fold
    )
    assert not (is_test & is_validation).any()
    return np.where(is_test, TEST, np.where(is_validation, VALIDATION, TRAIN))[groups]


def hash_only(positions: npt.NDArray[np.float64], shares: tuple[float, float]) -> Splits:
    """Return the splits that the positions alone determine."""
    return np.digitize(positions, [shares[0], shares[0] + shares[1]])


def compute_excess(
    nodes: npt.NDArray[np.int32], splits: Splits, shares: tuple[float, float], split: int
) -> float:
    """Return how far the worst node is outside of one record or one point, in records."""
    share = (*shares, 1 - sum(shares))[split]
    sizes = np.bincount(nodes)
    deviation = np.abs(np.bincount(nodes, splits == split, len(sizes)) - sizes * share)
    return float((deviation - np.maximum(1, 0.01 * sizes)).max())


@settings(deadline=None)
@given(STRATA_SIZES, SHARES, st.integers(0, 10**6))
def test_each_stratum_has_the_shares_within_a_record_or_a_point(
    sizes: list[int], shares: tuple[float, float], seed: int
) -> None:
    strata = make_strata(sizes)
    splits = split(strata, np.random.default_rng(seed).random(sum(sizes)), shares=shares)
    for name in (TEST, VALIDATION, TRAIN):
        assert compute_excess(strata.ids, splits, shares, name) < 1e-6
    for nodes in strata.list_levels():  # up to all records
        assert compute_excess(nodes, splits, shares, TEST) < 1e-6


@settings(deadline=None)
@given(STRATA_SIZES, SHARES, st.integers(2, 6), st.integers(0, 10**6))
def test_a_group_takes_a_stratum_out_of_tolerance_by_less_than_its_size(
    sizes: list[int], shares: tuple[float, float], largest: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    group_sizes = generator.integers(1, largest + 1, sum(sizes))
    of_groups = make_strata(sizes)
    groups = np.repeat(np.arange(sum(sizes)), group_sizes)
    strata = of_groups.select(groups)
    splits = split(strata, generator.random(sum(sizes)), groups, shares)
    for name in (TEST, VALIDATION, TRAIN):
        assert compute_excess(strata.ids, splits, shares, name) < largest


@settings(deadline=None)
@given(STRATA_SIZES, st.integers(0, 10**6))
def test_records_of_a_group_in_several_strata_count_in_their_own(
    sizes: list[int], seed: int
) -> None:
    """Single records compensate for groups in two strata, if there are enough of them."""
    shares = (0.3, 0.2)
    sizes = [size + 40 for size in sizes]
    strata = make_strata(sizes)
    groups = np.arange(sum(sizes))
    begins = np.cumsum(sizes)[:-1]
    groups[begins] = groups[begins - 1]  # the first record of a stratum and the last one before
    _, groups = np.unique(groups, return_inverse=True)
    positions = np.random.default_rng(seed).random(groups.max() + 1)
    splits = split(strata, positions, groups, shares)
    for name in (TEST, VALIDATION, TRAIN):
        assert compute_excess(strata.ids, splits, shares, name) < 1e-6


@settings(deadline=None)
@given(STRATA_SIZES, SHARES, st.integers(0, 10**6))
def test_an_added_record_moves_a_few_at_most(
    sizes: list[int], shares: tuple[float, float], seed: int
) -> None:
    strata = make_strata(sizes)
    order = np.random.default_rng(seed).permutation(sum(sizes))
    positions = np.random.default_rng(seed + 1).random(sum(sizes))
    before = split(strata.select(order[:-1]), positions[:-1], shares=shares)
    after = split(strata.select(order), positions, shares=shares)
    assert (before != after[:-1]).sum() <= 8


@pytest.mark.parametrize(("number", "bound"), [(4000, 0.04), (200_000, 0.002)])
def test_few_records_move_when_the_data_doubles(number: int, bound: float) -> None:
    """In 40 strata of 100 records, some shares need correction; of 5,000 records, hardly any."""
    generator = np.random.default_rng(3)
    values = [(str(stratum % 4), str(stratum)) for stratum in range(40)]
    strata = Strata(generator.integers(0, 40, 2 * number).astype(np.int32), values)
    positions = generator.random(2 * number)
    half = split(strata.select(np.arange(number)), positions[:number])
    assert (half != split(strata, positions)[:number]).mean() < bound


def test_strata_within_tolerance_are_those_of_the_hash() -> None:
    generator = np.random.default_rng(5)
    positions = generator.random(100_000)
    strata = Strata(np.repeat(np.arange(2, dtype=np.int32), [99_990, 10]), [("a",), ("b",)])
    positions[-10:] = np.linspace(0.01, 0.1, 10)  # by the hash, all are in the test split
    difference = split(strata, positions) != hash_only(positions, (0.12, 0.08))
    assert not difference[:-10].any()
    assert (split(strata, positions)[-10:] == TEST).sum() == 2, "1.2 plus one record, rounded down"
    assert (split(strata, positions)[-10:-8] == TEST).all(), "those farthest from the threshold"


def test_small_strata_do_not_all_round_to_the_same_side() -> None:
    """A stratum of 8 may hold 0 or 1 test records; 100 of them should hold 96, not 64."""
    strata = Strata(np.repeat(np.arange(100, dtype=np.int32), 8), [(str(n),) for n in range(100)])
    counts = [
        (split(strata, np.random.default_rng(seed).random(800)) == TEST).sum() for seed in range(20)
    ]
    assert max(abs(count - 96) for count in counts) <= 8, "one point of 800 records"


def test_the_order_of_the_strata_and_records_does_not_matter() -> None:
    strata = make_strata([30, 7, 90, 3])
    positions = np.random.default_rng(0).random(130)
    order = np.random.default_rng(1).permutation(130)
    renumbered = Strata(3 - strata.ids[order], [*reversed(strata.values)])
    assert (split(strata, positions)[order] == split(renumbered, positions[order])).all()


@settings(deadline=None)
@given(STRATA_SIZES, st.integers(2, 5), st.integers(0, 10**6))
def test_folds_are_a_partition_with_equal_shares(sizes: list[int], folds: int, seed: int) -> None:
    strata = make_strata(sizes)
    positions = np.random.default_rng(seed).random(sum(sizes))
    shares = (1 / folds, 0.1)
    tested = np.zeros(sum(sizes))
    for fold in range(folds):
        splits = split(strata, positions, shares=shares, fold=fold)
        tested += splits == TEST
        for name in (TEST, VALIDATION, TRAIN):
            assert compute_excess(strata.ids, splits, shares, name) < 1e-6
    assert (tested == 1).all()


@pytest.mark.parametrize("shares", [(0.0, 0.3), (0.3, 0.0), (0.0, 0.0)])
def test_a_share_of_0_is_an_empty_split(shares: tuple[float, float]) -> None:
    strata = make_strata([5, 60, 8])
    splits = split(strata, np.random.default_rng(2).random(73), shares=shares)
    assert [(splits == TEST).any(), (splits == VALIDATION).any()] == [share > 0 for share in shares]


def test_no_record_is_no_split() -> None:
    assert len(split(Strata(np.empty(0, np.int32), []), np.empty(0))) == 0
