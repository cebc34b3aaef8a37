"""The files for clusters and containers are valid, and name what exists."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY

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
