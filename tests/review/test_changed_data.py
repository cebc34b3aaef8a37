"""Rows that this code cannot read are a reason for the comment, never a crash."""

from pathlib import Path

from lockstep.review.changed_data import SPLITS, compare_data
from lockstep.review.snapshot import Snapshot
from lockstep.statistics.record_scores import StoredScores
from tests.dvc_projects import commit, run_git, write_files


def test_records_with_the_fields_of_other_code_are_not_compared(tmp_path: Path) -> None:
    sides = []
    for name, line in (("base", '{"id":"1","field of old code":1}\n'), ("this", "")):
        root = tmp_path / name
        write_files(root, {f"data/prepared/{split}.jsonl": line for split in SPLITS})
        run_git(root, "init", "--quiet")
        commit(root, "Data")
        sides.append(Snapshot(root))
    none = StoredScores({}, "")
    changes = compare_data(sides[0], sides[1], ({}, {}), (none, none))
    assert changes.rows == []
    assert changes.not_compared.startswith("data/prepared/train.jsonl has other fields than here")
