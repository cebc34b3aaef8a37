"""The files for clusters and containers are valid, and name what exists."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY
from tests.dvc_projects import commit, run_git

CLUSTER = REPOSITORY / "cluster"


@pytest.mark.parametrize("name", ["experiment.sh", "experiment.slurm", "train.slurm"])
def test_bash_accepts_the_scripts(name: str):
    subprocess.run(["bash", "-n", str(CLUSTER / name)], check=True)


@pytest.mark.parametrize("name", ["experiment.k8s.yaml", "train.k8s.yaml"])
def test_kubernetes_files_are_jobs_whose_scripts_bash_accepts(name: str):
    documents: list[Any] = [*YAML(typ="safe", pure=True).load_all((CLUSTER / name).read_text())]
    job = documents[-1]
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    for container in job["spec"]["template"]["spec"]["containers"]:
        assert container["command"][0] == "bash"
        subprocess.run(["bash", "-n", "-c", container["args"][0]], check=True)


def test_skypilot_accepts_its_file():
    sky = pytest.importorskip("sky")
    task = sky.Task.from_yaml(str(CLUSTER / "skypilot.yaml"))
    assert {str(name) for resources in task.resources for name in resources.accelerators} == {
        "L4", "A10G"
    }  # fmt: skip
    assert "cluster/experiment.sh" in task.run
    for script in (task.setup, task.run):
        subprocess.run(["bash", "-n", "-c", script], check=True)


@pytest.mark.parametrize("name", ["experiment.k8s.yaml", "skypilot.yaml"])
def test_a_clone_that_is_there_follows_the_branch_or_stops(name: str, tmp_path: Path):
    lines = (CLUSTER / name).read_text().splitlines()
    first = next(place for place, line in enumerate(lines) if "[ -d lockstep ]" in line)
    last = next(place for place, line in enumerate(lines) if "git checkout" in line)
    script = "\n".join(["set -e", *lines[first : last + 1], "git log -1 --format=%s"])
    origin = tmp_path / "origin"
    run_git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))

    def run(revision: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "REPOSITORY": str(origin), "REVISION": revision}
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True
        )

    for subject in ("first", "second"):
        (origin / "file").write_text(subject)
        commit(origin, subject)
        assert run("main").stdout == f"{subject}\n"
    assert run(run_git(origin, "rev-parse", "main~1").strip()).stdout == "first\n"
    origin.rename(tmp_path / "gone")
    assert run("main").returncode != 0, "it must not run what it fetched before"


@pytest.mark.parametrize("name", ["experiment.slurm", "experiment.k8s.yaml", "skypilot.yaml"])
def test_files_for_experiments_call_the_one_script_and_say_that_they_were_not_run(name: str):
    text = (CLUSTER / name).read_text()
    assert "cluster/experiment.sh" in text
    assert "ot run here" in text


def test_the_image_is_pinned_and_copies_what_the_ignore_file_lets_through():
    text = (REPOSITORY / "Dockerfile").read_text()
    assert re.search(r"^FROM [\w./-]+:\d+\.\d+\.\d+-\S+$", text, re.MULTILINE)
    allowed = re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    assert copied == [" ".join(allowed)]
    assert all(Path(REPOSITORY / name).is_file() for name in allowed)
