"""Groups of records with similar questions, which a split must not divide."""

import numpy as np
import numpy.typing as npt

from lockstep.data import duplicates, near_duplicates, record_keys
from lockstep.data.duplicates import GroupIds, Pairs
from lockstep.data.record_table import Indices, RecordTable


def group_questions(
    table: RecordTable, rows: Indices, threshold: float
) -> tuple[GroupIds, GroupIds]:
    """Return the groups of near-duplicates among the rows, and those of all similar questions.

    Near-duplicates have the same context and numbers. Other similar questions differ in their
    context, or in a number though their answers do not.
    """
    candidates = near_duplicates.find_candidate_pairs(table.bands[rows])
    paired = np.unique(candidates)  # a few of all records
    numbers = table.keys.numbers[rows[paired]]
    equal_numbers = paired[_find_similar(table, rows[paired], numbers, threshold)]
    templates = _find_similar_templates(table, rows, candidates, threshold)
    similar = duplicates.group_pairs(len(rows), [equal_numbers, templates])
    return _group_within_contexts(table, rows, equal_numbers, threshold), similar


def _find_similar(
    table: RecordTable, rows: Indices, keys: npt.NDArray[np.uint64], threshold: float
) -> Pairs:
    """Return pairs of indices of the rows that have similar questions and equal keys."""
    return near_duplicates.find_near_pairs(
        table.bands[rows] + keys[:, None],
        lambda index: table.load_record(rows[index]).user_text,
        threshold,
    )


def _find_similar_templates(
    table: RecordTable, rows: Indices, candidates: Pairs, threshold: float
) -> Pairs:
    """Return pairs of similar questions with other numbers but the same answer.

    `candidates` are pairs with a MinHash band in common. Only records that may have such a
    partner are loaded for the numbers of their answers.
    """
    groups = duplicates.group_pairs(len(rows), [candidates])
    mixed = duplicates.find_mixed_members(groups, table.keys.numbers[rows])
    records = [table.load_record(row) for row in rows[mixed].tolist()]
    keys = record_keys.compute_answer_numbers(records)
    return mixed[_find_similar(table, rows[mixed], keys, threshold)]


def _group_within_contexts(
    table: RecordTable, rows: Indices, pairs: Pairs, threshold: float
) -> GroupIds:
    """Group the records that the pairs connect and that have the same context.

    The pairs may lead from one record to another over a third with another context, so the
    pairs of groups of several contexts are searched again.
    """
    keys = table.keys
    groups = duplicates.group_pairs(len(rows), [pairs])
    mixed = duplicates.find_mixed_members(groups, keys.contexts[rows])
    contexts = (keys.numbers + keys.contexts)[rows[mixed]]
    pairs_in_context = mixed[_find_similar(table, rows[mixed], contexts, threshold)]
    pairs = pairs[~np.isin(pairs[:, 0], mixed)]
    return duplicates.group_pairs(len(rows), [pairs, pairs_in_context])
