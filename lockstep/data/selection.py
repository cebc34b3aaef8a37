"""Selection of records: which ones stay, in which split, and why the others are removed."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lockstep.data import contamination, data_card, duplicates, question_groups, splitting
from lockstep.data.contamination import ProtectedTexts
from lockstep.data.duplicates import DuplicatesParams
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.record_table import Indices, RecordTable
from lockstep.data.splitting import AUTO, PRIORITY, SPLITS, TEST, TRAIN, SplitParams
from lockstep.data.stratified_split import Strata


@dataclass(frozen=True, slots=True)
class RemovedRecord:
    """A record that is in no split."""

    origin: str
    """Place of its row, `file:line`."""
    reason: str
    """Reason in snake_case, e.g. `near_duplicate`."""
    because_of: str
    """Place (`file:line`) of the record that stays instead, or of the test record or benchmark row
    that must not leak. If a conflict removes all of its records, it is another one of these
    records. Empty for `train_fraction`."""


class Selection:
    """Removes duplicates, conflicts and leaks from a table, and assigns the rest to splits."""

    def __init__(self, table: RecordTable, source_splits: Mapping[str, str]) -> None:
        """Start with all records; `source_splits` maps the name of a source to its `split`."""
        numbers = [PRIORITY.index(source_splits[values.source]) for values in table.metadata]
        self.table = table
        self.source_splits: splitting.SplitIds = np.array(numbers, np.int8)[table.metadata_ids]
        self.known_splits = self.source_splits.copy()
        """Split of each record of the table that is known before records are divided."""
        self.rows: Indices = np.arange(len(table))
        """Indices of the records that stay; the arrays below have an entry for each of them."""
        self.all_rows = self.rows
        """Indices of the records of this round and of those before."""
        self.near_groups: duplicates.GroupIds = np.arange(len(table), dtype=np.int32)
        """Groups of near-duplicates."""
        self.column_groups = self.near_groups
        """Groups of near-duplicates and of records with the same group column."""
        self.groups = self.near_groups
        """Groups that are not divided: all of those, and records with similar questions that are
        no near-duplicates, since a number, the system turn or another part differs."""
        self.splits: splitting.SplitIds = np.full(len(table), TRAIN, np.int8)
        self.removed: list[RemovedRecord] = []
        self.conflict_count = 0
        """Number of inputs with several different answers."""
        self.largest_group_size = 0
        """Number of records in the largest group."""
        self.shared_group_count = 0
        """Number of groups with two or more records."""

    @property
    def removal_counts(self) -> dict[str, int]:
        """Number of removed records by reason."""
        return data_card.sort_by_name(Counter(removed.reason for removed in self.removed))

    def get_split_rows(self, name: str) -> Indices:
        """Return the indices of the records of a split, in the order of the sources."""
        return self.rows[self.splits == PRIORITY.index(name)]

    def split_statistics(self) -> dict[str, data_card.RecordStatistics]:
        """Return the statistics of each split."""
        return {name: self._compute_statistics(self.get_split_rows(name)) for name in SPLITS}

    def divided_statistics(self) -> dict[str, data_card.RecordStatistics]:
        """Return the statistics of each split over the records that `prepare.split` divides."""
        divided = self.rows[self._is_divided()]
        return {
            name: self._compute_statistics(np.intersect1d(self.get_split_rows(name), divided))
            for name in SPLITS
        }

    def compute_average_group_size(self) -> float:
        """Return the average, over the records that are divided, of the size of their group."""
        sizes = np.bincount(self.groups[self._is_divided()])
        return float((sizes**2).sum() / max(1, sizes.sum()))

    def _is_divided(self) -> npt.NDArray[np.bool_]:
        """Return which records `prepare.split` divides.

        It does not divide the records of a source with a split of its own, nor the records that
        follow one of them because they are in its group.
        """
        has_own_split = self.source_splits[self.rows] != AUTO
        return ~np.isin(self.groups, self.groups[has_own_split])

    def start_round(self, later_sources: Collection[str], earlier: "Selection | None") -> None:
        """Leave out the sources of later rounds, and keep the splits of the round before.

        A record that the round before removed is for training alone, so that no record of it
        becomes a test record now.
        """
        numbers = [n for n, v in enumerate(self.table.metadata) if v.source in later_sources]
        self._filter_records(~np.isin(self.table.metadata_ids[self.rows], numbers))
        if earlier:
            is_divided = self.source_splits[earlier.all_rows] == AUTO
            self.known_splits[earlier.all_rows[is_divided]] = TRAIN
            self.known_splits[earlier.rows] = earlier.splits
        self.all_rows = self.rows

    def resolve_conflicts(self, policy: str) -> None:
        """Apply the policy to records that have the same input and different right answers."""
        causes: dict[int, int] = {}
        for rows in self._find_equal_inputs():
            answers = [self.table.load_record(row).reference for row in rows]
            if len(set(answers)) > 1:
                self.conflict_count += 1
                removed = duplicates.find_removed_answers(answers, policy)
                remaining = [index for index in range(len(rows)) if index not in removed]
                for index in removed:
                    cause = remaining[0] if remaining else int(index == 0)
                    causes[rows[index]] = rows[cause]
        for row in sorted(causes):
            self._record_removal(row, "conflict", self._get_origin(causes[row]))
        self._filter_records(~np.isin(self.rows, [*causes]))

    def merge_duplicates(self) -> None:
        """Keep one of each set of exact duplicates: the first in the split of highest priority."""
        order = self.rows[np.argsort(self.known_splits[self.rows], kind="stable")]
        pairs = order[duplicates.find_equal_pairs(self.table.keys.contents[order])]
        for first, row in pairs.tolist():
            self._record_removal(row, "duplicate", self._get_origin(first))
        self._filter_records(~np.isin(self.rows, pairs[:, 1]))

    def group_near_duplicates(self, params: DuplicatesParams) -> None:
        """Group similar questions, and records with equal group columns; merge near-duplicates.

        Near-duplicates are similar questions in the same context. If they are merged, one question
        of each group stays, with all its answers.
        """
        found = question_groups.group_questions(self.table, self.rows, params.threshold)
        self.near_groups, self.groups = found
        if params.near == "merge":
            self._merge_groups()
        columns = duplicates.find_equal_pairs(self.table.keys.groups[self.rows])
        near, similar = map(duplicates.list_group_pairs, (self.near_groups, self.groups))
        self.column_groups = duplicates.group_pairs(len(self.rows), [columns, near])
        self.groups = duplicates.group_pairs(len(self.rows), [columns, near, similar])
        sizes = np.bincount(self.groups)
        self.shared_group_count = int((sizes > 1).sum())
        self.largest_group_size = int(sizes.max(initial=0))

    def assign_splits(self, params: SplitParams, strata: Sequence[str]) -> None:
        """Assign each record to a split; `strata` names the metadata that define the strata.

        If sources with different splits have records of one group, remove the records that are
        not in the split of highest priority.
        """
        numbers: dict[tuple[str, ...], int] = {}
        stratum_ids = [
            numbers.setdefault(values.get_stratum(strata), len(numbers))
            for values in self.table.metadata
        ]
        self.splits = splitting.assign_splits(
            self.groups,
            self.known_splits[self.rows],
            self.table.leader_keys[self.rows],
            self.table.positions[self.rows],
            Strata(np.array(stratum_ids, np.int32)[self.table.metadata_ids[self.rows]], [*numbers]),
            params,
        )
        self._remove_outside_first_split(lambda: self.near_groups, "near_duplicate")
        self._remove_outside_first_split(lambda: self.column_groups, "group")

    def remove_contaminated(self, benchmarks: ProtectedTexts, words: int) -> None:
        """Remove training and validation records that share `words` words with a protected text.

        These are the texts of the test records and of the benchmarks.
        """
        test_rows = self.rows[self.splits == TEST]
        tests = ProtectedTexts(
            self.table.unit_ngrams.select(test_rows),
            lambda index: self.table.load_record(test_rows[index]).user_text,
            lambda index: self._get_origin(test_rows[index]),
        )
        for protected in (tests, benchmarks):
            found = contamination.find_contaminated(
                self.table.unit_ngrams.select(self.rows),
                np.flatnonzero(self.splits != TEST),
                self._get_user_text,
                protected,
                words,
            )
            is_removed = np.isin(np.arange(len(self.rows)), [*found])
            self._remove(is_removed, "contaminated", found.values())

    def reduce_training(self, fraction: float, seed: int) -> None:
        """Sample a share of the training records; a smaller share is a subset of a larger one."""
        if fraction < 1.0:
            ids = (self.table.load_record(row).id for row in self.rows.tolist())
            positions = splitting.hash_to_uniform(f"{seed}/fraction/{name}" for name in ids)
            is_unused = (self.splits == TRAIN) & (positions >= fraction)
            self._remove(is_unused, "train_fraction", itertools.repeat(""))

    def write_split(self, path: Path, name: str) -> None:
        """Write the records of a split to a file, one JSON line per record."""
        with path.open("wb") as stream:
            stream.writelines(self.table.lines[row] for row in self.get_split_rows(name).tolist())

    def write_removed(self, path: Path) -> None:
        """Write the removed records to a file, one JSON object per line."""
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            for removed in self.removed:
                stream.write(json.dumps(asdict(removed), sort_keys=True) + "\n")

    def _compute_statistics(self, rows: Indices) -> data_card.RecordStatistics:
        metadata = self.table.metadata
        numbers = np.bincount(self.table.metadata_ids[rows], minlength=len(metadata)).tolist()
        counts = {values: n for values, n in zip(metadata, numbers, strict=True) if n}
        return data_card.RecordStatistics(Counter(counts), self.table.lengths[rows])

    def _find_equal_inputs(self) -> list[list[int]]:
        """Return sets of two or more records with equal inputs, as lists of indices.

        Records of which a question may have several are left out, such as preferences.
        """
        sets: dict[int, list[int]] = {}
        rows = self.rows[self.table.has_single_answer[self.rows]]
        pairs = duplicates.find_equal_pairs(self.table.keys.inputs[rows])
        for first, later in rows[pairs].tolist():
            sets.setdefault(first, [first]).append(later)
        return [*sets.values()]

    def _merge_groups(self) -> None:
        """Leave one question of each group: the first in the split of highest priority."""
        first: dict[int, int] = {}
        for index in np.argsort(self.known_splits[self.rows], kind="stable").tolist():
            first.setdefault(int(self.near_groups[index]), index)
        first_indices = np.array([first[group] for group in self.near_groups.tolist()], np.int64)
        inputs = self.table.keys.inputs[self.rows]
        is_merged = (inputs != inputs[first_indices]).any(1)
        causes = map(self._get_origin, self.rows[first_indices[is_merged]].tolist())
        self._remove(is_merged, "near_duplicate", causes)

    def _remove_outside_first_split(
        self, get_groups: Callable[[], duplicates.GroupIds], reason: str
    ) -> None:
        """Remove the records of each group that are not in its split of highest priority."""
        groups = get_groups()
        first_split = splitting.compute_group_minimum(self.splits, groups)[groups]
        is_outside = first_split < self.splits
        inside = np.flatnonzero(first_split == self.splits)[::-1]
        first = dict(zip(groups[inside].tolist(), self.rows[inside].tolist(), strict=True))
        causes = [self._get_origin(first[group]) for group in groups[is_outside].tolist()]
        self._remove(is_outside, reason, causes)

    def _remove(
        self, is_removed: npt.NDArray[np.bool_], reason: str, causes: Iterable[str]
    ) -> None:
        for row, cause in zip(self.rows[is_removed].tolist(), causes, strict=False):
            self._record_removal(row, reason, cause)
        self._filter_records(~is_removed)

    def _filter_records(self, stays: npt.NDArray[np.bool_]) -> None:
        self.rows, self.splits = self.rows[stays], self.splits[stays]
        self.near_groups, self.groups = self.near_groups[stays], self.groups[stays]
        self.column_groups = self.column_groups[stays]

    def _record_removal(self, row: int, reason: str, cause: str) -> None:
        self.removed.append(RemovedRecord(self._get_origin(row), reason, cause))

    def _get_origin(self, row: int) -> str:
        return self.table.load_record(row).origin

    def _get_user_text(self, index: int) -> str:
        return self.table.load_record(self.rows[index]).user_text


def select_records(
    table: RecordTable, benchmarks: ProtectedTexts, params: PrepareParams, seed: int
) -> Selection:
    """Assign the records to splits, and remove duplicates, conflicts and leaks.

    `benchmarks` are texts that training must not contain. The records of each round are divided
    after those of the rounds before, which stay in their splits.
    """
    source_splits = {source.name: source.split for source in params.sources}
    earlier: Selection | None = None
    for number in sorted({*params.rounds.values()}):
        selection = Selection(table, source_splits)
        later = [name for name, later_round in params.rounds.items() if later_round > number]
        selection.start_round(later, earlier)
        _apply_params(selection, benchmarks, params, seed)
        earlier = selection
    return selection


def _apply_params(
    selection: Selection, benchmarks: ProtectedTexts, params: PrepareParams, seed: int
) -> None:
    selection.resolve_conflicts(params.duplicates.conflicts)  # first, so that every row counts
    selection.merge_duplicates()
    selection.group_near_duplicates(params.duplicates)
    selection.assign_splits(params.split, params.strata)
    selection.remove_contaminated(benchmarks, params.decontaminate.words)
    selection.reduce_training(params.split.train_fraction, seed)
