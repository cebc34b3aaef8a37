"""Records with equal keys are paired, grouped and, by policy, removed as conflicts."""

import numpy as np

from lockstep.data import duplicates
from lockstep.data.record_keys import compute_keys
from tests.data.examples import make_record


def test_the_conflict_policy_decides_which_answers_are_removed() -> None:
    answers = ["x", "y", "x"]
    assert duplicates.find_removed_answers(answers, "keep") == []
    assert duplicates.find_removed_answers(answers, "drop") == [0, 1, 2]
    assert duplicates.find_removed_answers(answers, "majority") == [1]
    assert duplicates.find_removed_answers(answers[:2], "majority") == [0, 1]


def test_records_with_equal_group_keys_are_one_group_and_others_have_none() -> None:
    users = ["u1", "", "u2", "u1", "", "u1"]
    keys, _ = compute_keys([make_record("a", group=user) for user in users])
    pairs = duplicates.find_equal_pairs(keys.groups)
    assert duplicates.group_pairs(6, [pairs]).tolist() == [0, 1, 2, 0, 3, 0]


def test_pairs_of_groups_give_the_groups_again() -> None:
    groups = np.array([0, 1, 0, 2, 1, 0], np.int32)
    pairs = duplicates.list_group_pairs(groups)
    assert pairs.tolist() == [[0, 2], [1, 4], [0, 5]]
    assert duplicates.group_pairs(6, [pairs]).tolist() == groups.tolist()


def test_all_members_of_a_group_with_different_values_are_found() -> None:
    groups = np.array([0, 1, 0, 2, 1, 0], np.int32)
    values = np.array([7, 8, 7, 9, 6, 7], np.uint64)
    assert duplicates.find_mixed_members(groups, values).tolist() == [1, 4]
