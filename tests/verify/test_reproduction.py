"""Run the whole of `make verify` on a repository of three tiny stages, with real git and dvc."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep.models.instruction_sets import has_required_instructions
from lockstep.models.machine import read_machine_class
from lockstep.verify.reproduction import find_origin

ROOT = Path(__file__).parents[2]

DVC_YAML = """\
stages:
  base:
    cmd: exec python -m stages.base data/seed.txt data/base
    deps: [data/seed.txt]
    params: [base]
    outs: [data/base]
  prepare:
    cmd: exec python -m stages.prepare data/base data/prepared
    deps: [data/base]
    outs: [data/prepared]
  report:
    cmd: exec python -m stages.report data/prepared reports/metrics.json
    deps: [data/prepared]
    params: [seed]
    metrics: [reports/metrics.json: {cache: false}]
"""

STAGE = """\
import sys
from pathlib import Path
from lockstep.cli import runner
from stages.words import upper

def main(source: Path, out: Path) -> None:
    out.mkdir(parents=True)
    for file in sorted(source.iterdir()) if source.is_dir() else [source]:
        (out / file.name).write_text(upper(file.read_text()))
    # HERE

if __name__ == "__main__":
    runner.run(main)
"""

REPORT = """\
import json
from pathlib import Path
from lockstep.cli import runner

def main(source: Path, out: Path) -> None:
    partial = out.with_name(".metrics.json.partial")
    partial.write_text(json.dumps({"files": len(list(source.iterdir()))}))
    partial.replace(out)
    # HERE

if __name__ == "__main__":
    runner.run(main)
"""

CLI = """\
import importlib, json, os, sys
from pathlib import Path
from lockstep.models.machine import read_machine_class

def run(main) -> None:
    for stage in ("base", "prepare", "report"):
        importlib.import_module(f"stages.{stage}")
    main(*map(Path, sys.argv[1:]))
    folder = Path("reports/provenance")
    folder.mkdir(parents=True, exist_ok=True)
    provenance = folder / (os.environ["DVC_STAGE"] + ".json")
    provenance.write_text(json.dumps({"machine": read_machine_class()}))
"""


class Repository:
    """A pipeline of three stages under git and dvc."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = {"NAME": "Test", "EMAIL": "test@example.org"}
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(path.parent / "site"),
            "DVC_NO_ANALYTICS": "1",
            "TMPDIR": str(path.parent),
            **{
                f"GIT_{role}_{key}": v
                for role in ("AUTHOR", "COMMITTER")
                for key, v in names.items()
            },
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True
        )

    def add_to(self, file: str, code: str) -> None:
        """Add statements at the end of the main function of a stage."""
        path = self.path / file
        path.write_text(path.read_text().replace("# HERE", code))

    def commit(self) -> None:
        for command in (
            ("dvc", "repro", "--quiet"),
            ("git", "add", "--all"),
            ("git", "commit", "--quiet", "--message", "A run"),
        ):
            result = self.run(*command)
            assert result.returncode == 0, result.stdout + result.stderr

    def verify(self) -> tuple[int, str]:
        result = self.run("python", "-m", "lockstep.verify.reproduction")
        return result.returncode, result.stdout + result.stderr.replace("\n", "\n  ")

    @property
    def remaining_clones(self) -> list[Path]:
        return list(self.path.parent.glob("lockstep-verify-*"))


@pytest.fixture(scope="module")
def original_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny pipeline under git and dvc without running it."""
    path = tmp_path_factory.mktemp("pristine") / "repository"
    shutil.copytree(
        ROOT / "lockstep", path / "lockstep", ignore=shutil.ignore_patterns("__pycache__")
    )
    files = {
        ".gitignore": "__pycache__/\n*.log\n",
        "dvc.yaml": DVC_YAML,
        "params.yaml": "seed: 7\nbase: {source: hub}\n",
        "data/seed.txt": "one\n",
        "stages/__init__.py": "",
        "lockstep/cli/runner.py": CLI,
        "stages/words.py": "def upper(text):\n    return text.upper()\n",
        "stages/base.py": STAGE,
        "stages/prepare.py": STAGE,
        "stages/report.py": REPORT,
    }
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    repository = Repository(path)
    repository.run("git", "init", "--quiet")
    result = repository.run("dvc", "init", "--quiet")
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture
def repository(original_repository: Path, tmp_path: Path) -> Repository:
    return Repository(shutil.copytree(original_repository, tmp_path / "repository"))


@pytest.fixture(scope="module")
def undeclared_accesses(
    original_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, str]:
    """Return the exit code and output of verify for a pipeline with undeclared accesses."""
    path = shutil.copytree(
        original_repository, tmp_path_factory.mktemp("undeclared") / "repository"
    )
    repository = Repository(path)
    (path / "secret.txt").write_text("undeclared\n")
    (path / "shown.txt").write_text("undeclared\n")
    (path / "stages" / "hidden.py").write_text("")
    code = """Path("secret.txt").read_text()
    Path("data/stray.txt").write_text("")
    import subprocess
    subprocess.run(["cat", "shown.txt"])  # another program, which no audit hook sees
    subprocess.run(["touch", "data/native.txt", "data/new.log"])
    import importlib
    importlib.import_module("stages.hidden")
    import os, socket, tempfile
    root = os.getcwd()
    os.chdir(tempfile.mkdtemp())  # the whole path may be too long for a socket
    socket.socket(socket.AF_UNIX).bind("unix")
    os.chdir(root)"""
    repository.add_to("stages/prepare.py", code)
    connect = """import socket
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))"""
    repository.add_to("stages/report.py", connect)
    repository.add_to("stages/base.py", connect)
    repository.commit()
    return repository.verify()


@pytest.mark.slow
def test_a_reproducible_commit_passes_and_its_clone_is_removed(repository: Repository) -> None:
    repository.commit()
    code, output = repository.verify()
    assert code == 0, output
    rows = [line.split()[::2] for line in output.splitlines()[1:4]]
    assert rows == [[stage, "identical"] for stage in ("base", "prepare", "report")]
    assert "Verified: a clone of commit" in output
    assert not repository.remaining_clones


@pytest.mark.slow
def test_stage_and_file_that_differ_are_named(repository: Repository) -> None:
    repository.add_to(
        "stages/prepare.py", 'import time; (out / "when.txt").write_text(str(time.time()))'
    )
    repository.commit()
    code, output = repository.verify()
    assert code == 1
    assert "prepare: out data/prepared: when.txt\n" in output
    assert "report: dep data/prepared: when.txt\n" in output
    assert "base: " not in output
    assert "Not verified: commit" in output
    assert str(repository.remaining_clones[0]) in output


WRITE_HOME = 'import os; (out / "home.txt").write_text(os.environ["HOME"])'


def commit_from_other_machine(repository: Repository, stage: str) -> None:
    provenance = repository.path / "reports" / "provenance" / f"{stage}.json"
    provenance.write_text(json.dumps({"machine": {"cpu": "abacus", "gpu": ""}}))
    repository.run("git", "commit", "--quiet", "--all", "--message", "Another machine")


@pytest.mark.slow
def test_two_clones_are_compared_if_another_machine_class_made_the_lock(
    repository: Repository,
) -> None:
    repository.add_to("stages/prepare.py", WRITE_HOME)
    repository.commit()
    commit_from_other_machine(repository, "prepare")
    code, output = repository.verify()
    assert code == 1
    assert "prepare: out data/prepared: home.txt" in output
    assert "made on another machine class (prepare: abacus)" in output
    assert "2 stages differ from a second clone" in output


@pytest.mark.slow
def test_a_portable_lock_is_compared_on_every_machine_with_the_instructions(
    repository: Repository,
) -> None:
    """With compute.portable all CPUs are one class, so no difference is excused."""
    if not has_required_instructions():
        pytest.skip("needs an x86-64 CPU with AVX2")
    with (repository.path / "params.yaml").open("a") as stream:
        stream.write("compute: {portable: true}\n")
    repository.add_to("stages/prepare.py", WRITE_HOME)
    repository.commit()
    provenance = repository.path / "reports" / "provenance" / "prepare.json"
    provenance.write_text(json.dumps({"machine": read_machine_class(is_portable=True)}))
    repository.run("git", "commit", "--quiet", "--all", "--message", "A portable run")
    code, output = repository.verify()
    assert code == 1
    assert "another machine class" not in output
    assert "2 stages differ from its committed dvc.lock" in output


@pytest.mark.slow
def test_another_machine_class_excuses_only_its_own_stage(repository: Repository) -> None:
    repository.add_to("stages/prepare.py", WRITE_HOME)
    repository.commit()
    commit_from_other_machine(repository, "base")
    code, output = repository.verify()
    assert code == 1
    assert "Not verified" in output
    assert "2 stages differ from its committed dvc.lock" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "prepare reads secret.txt, which is no dep",
        "prepare reads shown.txt, which is no dep",
        "prepare reads stages/hidden.py, which is no dep",
        "prepare writes data/stray.txt, which is no out",
        "prepare writes data/native.txt, which is no out",
        "prepare writes data/new.log, which is no out",
        "report opens a socket: socket.connect ('127.0.0.1', 9)",
    ],
)
def test_undeclared_accesses_are_named(undeclared_accesses: tuple[int, str], line: str) -> None:
    code, output = undeclared_accesses
    assert code == 1
    assert line in output.splitlines()


@pytest.mark.slow
def test_a_unix_socket_is_no_connection(undeclared_accesses: tuple[int, str]) -> None:
    assert "prepare opens a socket" not in undeclared_accesses[1]


@pytest.mark.slow
def test_declared_accesses_are_not_named(undeclared_accesses: tuple[int, str]) -> None:
    """The stage base may connect to the hub, and the runner may import modules of other stages."""
    _, output = undeclared_accesses
    assert "7 undeclared accesses" in output


def test_uncommitted_changes_and_missing_results_are_refused(repository: Repository) -> None:
    code, output = repository.verify()
    assert code == 2
    assert "no commit to verify" in output
    repository.run("git", "add", "--all")
    repository.run("git", "commit", "--quiet", "--message", "Never run")
    code, output = repository.verify()
    assert code == 2
    assert output.strip() == "error: dvc.lock: not in the commit; `dvc repro`, then commit it"
    (repository.path / "params.yaml").write_text("seed: 8\nbase: {source: hub}\n")
    code, output = repository.verify()
    assert code == 2
    assert output.strip() == "error: uncommitted changes in params.yaml; commit or stash them"


def test_the_origin_is_a_stage_that_depends_on_no_other_differing_stage() -> None:
    def make_entry(out: str, *deps: str) -> dict[str, Any]:
        return {
            "cmd": out,
            "deps": [{"path": path, "md5": "0"} for path in deps],
            "outs": [{"path": out, "md5": "0"}],
        }

    lock = {
        "report": make_entry("reports/a.json", "data/judged/judgements.jsonl", "data/base"),
        "base": make_entry("data/base", "seed.txt"),
        "judge": make_entry("data/judged", "data/base"),
    }
    assert find_origin(lock, ["report", "judge"]) == "judge"
    assert find_origin(lock, ["report", "base", "judge"]) == "base"
    assert find_origin(lock, ["report"]) == "report"
    assert find_origin(lock, []) is None
