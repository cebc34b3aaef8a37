"""Outputs that the review cannot read are reasons for the comment, never a crash."""

import shutil
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.review.outputs_of_commit import open_output
from lockstep.review.snapshot import Snapshot
from tests import dvc_projects


@pytest.mark.slow
def test_a_remote_without_its_package_or_credentials_is_a_reason(tmp_path: Path) -> None:
    root = dvc_projects.create_project(tmp_path / "project")
    remote = "[core]\n    remote = far\n['remote \"far\"']\n    url = gs://bucket/folder\n"
    dvc_projects.write_files(root, {".dvc/config": remote})
    commit = dvc_projects.commit(root, "Add a remote whose package is not installed")
    shutil.rmtree(root / ".dvc/cache")
    shutil.rmtree(root / "data", ignore_errors=True)
    side = Snapshot(root, commit)
    with pytest.raises(UserError) as error, open_output(side, "data/model"):
        pass
    assert error.value.message.startswith(f"data/model of {commit[:7]}: DVC cannot read it (")
