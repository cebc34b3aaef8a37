"""Stratified splits that stay stable under growth: a hash, corrected as little as strata demand.

A hash alone gives each group of records a position in [0, 1), and those below the share of a
split go there. That is perfectly stable, since a position depends on nothing but the record, but
a stratum may miss its shares by chance. Exact quotas have the opposite fault: their thresholds
follow the ranks of the positions, so an added record may move others in any stratum.

This method starts from the hash. It moves groups only in a stratum whose share is outside of its
tolerance, and only as many as bring it back: those with the positions nearest to the threshold.
The standard deviation of the hash's share falls with the square root of the stratum's size and
the tolerance does not, so corrections become rarer as data grows. Strata of some thousand records
have none, and their records stay in place whatever is added.

Corrections alone would bias small strata: with a share of 0.12, a stratum of 8 records may hold 0
or 1 of them (0.96 ± 1), so 100 such strata would have 64 on average instead of 96. Therefore the
strata form a tree: all records, those with equal values of the first name of `by`, of the first
two, and so on. A node has the tolerance of a stratum of its size. If its children have moved away
from its target, farther than the hash and by more than half of the tolerance, it takes or returns
groups that the children's tolerances leave free.
This is controlled rounding (Cox, 1987): remainders are carried up the tree and cancel there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DEVIATION = 1
"""Tolerance of a stratum in records: at most this many above or below the target."""
MAX_SHARE_DEVIATION = 0.01
"""Tolerance of a stratum as a share of its records; the larger tolerance of the two holds.

Decontamination removes training and validation records after the split. With one point here,
the shares of what stays are rarely more than two points off.
"""

_FORCED_IN, _IN, _OUT, _FORCED_OUT = range(4)
"""State of a group for one split. The tolerance of a node determines the first and the last."""
_ROUNDING = 1e-9
"""Rounding errors of numbers of records are smaller."""

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.float64]
"""Number of records of each node: (nodes,)."""
Nodes = npt.NDArray[np.int32]
"""Number of each record's node on one level of the tree: (records,)."""


@dataclass(frozen=True, slots=True)
class Strata:
    """Stratum of each record, and the values that define the strata."""

    ids: npt.NDArray[np.int32]
    """Index in `values`: (records,)."""
    values: Sequence[tuple[str, ...]]
    """Values of each stratum, in the order of `prepare.split.by`."""

    def select(self, indices: npt.NDArray[Any]) -> "Strata":
        """Return the strata of some of the records."""
        return Strata(self.ids[indices], self.values)

    def list_levels(self) -> list[Nodes]:
        """Return the nodes of the records on each level of the tree, from strata to the root."""
        levels = []
        for depth in range(max(map(len, self.values), default=0), -1, -1):
            numbers: dict[tuple[str, ...], int] = {}
            nodes = [numbers.setdefault(names[:depth], len(numbers)) for names in self.values]
            levels.append(np.array(nodes, np.int32)[self.ids])
        return levels


def divide_groups(
    groups: npt.NDArray[Any],
    positions: npt.NDArray[np.float64],
    strata: Strata,
    *,
    test: float,
    validation: float,
    fold: int = 0,
) -> tuple[Mask, Mask]:
    """Return whether each group is in the test and in the validation split: (groups,) each.

    `groups` are the groups of the records, `positions` are those of the groups, `test` and
    `validation` are shares. Fold i of the test split is chosen from what folds 0 to i - 1 leave,
    so each group is in one fold.

    In a stratum in which each record is a group, each split is within MAX_DEVIATION records or
    MAX_SHARE_DEVIATION of its share. Groups are never divided, so groups of several records can
    take a split out of the tolerance, by less than the size of the stratum's largest group. On
    the higher levels of the tree, the test split has the same tolerance; so have the others,
    unless the tolerances of the strata leave no choice.

    A group with records in several strata is assigned before the others, which compensate for it.
    These groups have the shares together. Where they are many, strata may miss theirs.
    """
    first_records = np.zeros(len(positions), np.int64)
    first_records[groups[::-1]] = np.arange(len(groups))[::-1]
    is_mixed = np.zeros(len(positions), bool)
    is_mixed[groups[strata.ids != strata.ids[first_records][groups]]] = True
    tree = _Tree(groups, first_records, strata.list_levels())
    mixed_tree = _Tree(groups, first_records, [np.where(is_mixed[groups], 0, 1).astype(np.int32)])

    def select(keys: npt.NDArray[np.float64], is_left: Mask, earlier: float, share: float) -> Mask:
        none = np.zeros(len(keys), bool)
        if share == 0:
            return none
        if earlier + share > 1 - _ROUNDING:  # the last fold
            return is_left
        mixed = mixed_tree.select_groups(keys, is_left, is_mixed, none, earlier, share)
        return tree.select_groups(keys, is_left, ~is_mixed, mixed, earlier, share)

    is_test, is_left = np.zeros(len(positions), bool), np.ones(len(positions), bool)
    for number in range(fold + 1):
        is_left &= ~is_test
        is_test = select(positions, is_left, number * test, test)
    distances = (positions - fold * test) % 1.0
    return is_test, select(distances, ~is_test, test, validation)


@dataclass(frozen=True, slots=True)
class _Tree:
    """Records in groups, and the nodes to which they belong."""

    groups: npt.NDArray[Any]
    """Group of each record: (records,)."""
    first_records: npt.NDArray[np.int64]
    """First record of each group: (groups,)."""
    levels: list[Nodes]
    """Levels of the tree, the finest first."""

    def select_groups(
        self,
        keys: npt.NDArray[np.float64],
        is_left: Mask,
        is_candidate: Mask,
        is_selected: Mask,
        earlier_share: float,
        share: float,
    ) -> Mask:
        """Return the groups of one part: the selected ones and some of the candidates.

        Groups that are not left are in earlier parts. Of the candidates that are left, those with
        keys below the end of the part are selected, corrected on each level of the tree. The
        tolerance also holds for the rest, which is in no part yet.
        """
        order = np.flatnonzero(is_left & is_candidate & ~is_selected)
        order = order[np.argsort(keys[order], kind="stable")]
        sizes = np.bincount(self.groups, minlength=len(keys))[order].astype(np.float64)
        is_below = keys[order] < earlier_share + share
        states = np.where(is_below, _IN, _OUT).astype(np.int64)
        for record_nodes in self.levels:
            nodes = record_nodes[self.first_records[order]]
            totals = self._count(record_nodes, np.ones(len(keys), bool))
            excess = self._count(record_nodes, ~is_left) - totals * earlier_share
            selected = self._count(record_nodes, is_selected)
            target = totals * share - selected
            tolerance = np.maximum(MAX_DEVIATION, MAX_SHARE_DEVIATION * totals)
            low, high = _compute_bounds(target, excess, tolerance)
            hashed = np.bincount(nodes, sizes * is_below, len(totals))
            current = np.bincount(nodes, sizes * (states <= _IN), len(totals)).astype(np.float64)
            fewest = np.minimum(hashed, target - tolerance / 2)
            most = np.maximum(hashed, target + tolerance / 2)
            wanted = np.clip(current, fewest, most)
            _update_states(states, nodes, sizes, low, high, wanted)
        is_selected = is_selected.copy()
        is_selected[order[states <= _IN]] = True
        return is_selected

    def _count(self, record_nodes: Nodes, is_counted: Mask) -> Counts:
        """Return the number of records of each node whose group is counted."""
        number = record_nodes.max(initial=-1) + 1
        return np.bincount(record_nodes, is_counted[self.groups], number).astype(np.float64)


def _compute_bounds(target: Counts, excess: Counts, tolerance: Counts) -> tuple[Counts, Counts]:
    """Return the fewest and the most records that the tolerances allow.

    `target` is the number of records that the part should have, `excess` is how many records the
    earlier parts have above theirs. The rest lacks these and what the part has above its target.
    If large groups leave no number within both tolerances, the part and the rest share the fault.
    """
    low = np.ceil(target + np.maximum(-tolerance, -tolerance - excess) - _ROUNDING)
    high = np.floor(target + np.minimum(tolerance, tolerance - excess) + _ROUNDING)
    middle = (low + high) / 2
    return np.minimum(low, middle), np.maximum(high, middle)


def _update_states(
    states: npt.NDArray[np.int64],
    nodes: Nodes,
    sizes: npt.NDArray[np.float64],
    low: Counts,
    high: Counts,
    wanted: Counts,
) -> None:
    """Set the states of groups so that each node has as many records as it wants.

    The groups are in the order of their keys. A node takes those that its children force in, then
    those that they would take, then the others; a group counts where its middle is. What the
    children force stays, and what the bounds of this node force is added.
    """
    ranking = np.argsort(nodes.astype(np.int64) * 4 + states, kind="stable")
    nodes, sizes = nodes[ranking], sizes[ranking]
    begins = np.concatenate([[0], np.cumsum(np.bincount(nodes, sizes, len(low)))])
    after = np.cumsum(sizes) - begins[nodes]
    before = after - sizes
    middle = (before + after) / 2
    center = (low + high)[nodes] / 2
    is_forced_in = (before < low[nodes]) & ((after <= high[nodes]) | (middle <= center))
    is_forced_out = (after > high[nodes]) & ~is_forced_in
    new_states = np.where(middle <= wanted[nodes], _IN, _OUT)
    new_states[is_forced_in] = _FORCED_IN
    new_states[is_forced_out] = _FORCED_OUT
    is_free = (states[ranking] == _IN) | (states[ranking] == _OUT)
    states[ranking[is_free]] = new_states[is_free]
