"""The proof itself, on a repository of three tiny stages: real git, real dvc, real processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep.verify import accesses, import_closure, locks
from lockstep.verify.__main__ import origin
from lockstep.verify.accesses import Access, Declared

ROOT = Path(__file__).parents[2]

DVC_YAML = """\
stages:
  base:
    cmd: exec python -m stages.base data/seed.txt data/base
    deps: [data/seed.txt]
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
from typing import Any
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
from typing import Any
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
from typing import Any
from lockstep.models.machine import machine_class

def run(main) -> None:
    for stage in ("base", "prepare", "report"):
        importlib.import_module(f"stages.{stage}")
    main(*map(Path, sys.argv[1:]))
    folder = Path("reports/provenance")
    folder.mkdir(parents=True, exist_ok=True)
    provenance = folder / (os.environ["DVC_STAGE"] + ".json")
    provenance.write_text(json.dumps({"machine": machine_class()}))
"""


class Repository:
    """A committed pipeline that has run once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = {"NAME": "Test", "EMAIL": "test@example.org"}
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(path.parent / "site"),
            "DVC_NO_ANALYTICS": "1",
            "TMPDIR": str(path.parent),
            **{
                f"GIT_{who}_{key}": v for who in ("AUTHOR", "COMMITTER") for key, v in names.items()
            },
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True
        )

    def add_to(self, file: str, code: str) -> None:
        """Put statements in the place left for them in a stage's main."""
        path = self.path / file
        path.write_text(path.read_text().replace("# HERE", code))

    def commit(self) -> None:
        for command in (
            ("dvc", "repro", "--quiet"),
            ("git", "add", "--all"),
            ("git", "commit", "--quiet", "--message", "A run"),
        ):
            done = self.run(*command)
            assert done.returncode == 0, done.stdout + done.stderr

    def verify(self) -> tuple[int, str]:
        done = self.run("python", "-m", "lockstep.verify")
        return done.returncode, done.stdout + done.stderr.replace("\n", "\n  ")

    @property
    def left_behind(self) -> list[Path]:
        return list(self.path.parent.glob("lockstep-verify-*"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the tiny pipeline under git and dvc, not yet run."""
    path = tmp_path_factory.mktemp("pristine") / "repository"
    shutil.copytree(
        ROOT / "lockstep/verify",
        path / "lockstep/verify",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    files = {
        ".gitignore": "__pycache__/\n*.log\n",
        "dvc.yaml": DVC_YAML,
        "params.yaml": "seed: 7\n",
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
    for name in ("errors.py", "params.py", "models/machine.py"):
        (path / "lockstep" / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "lockstep" / name, path / "lockstep" / name)
    repository = Repository(path)
    repository.run("git", "init", "--quiet")
    done = repository.run("dvc", "init", "--quiet")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def repository(pristine: Path, tmp_path: Path) -> Repository:
    return Repository(shutil.copytree(pristine, tmp_path / "repository"))


@pytest.fixture(scope="module")
def trespass(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """What verify says of a deterministic pipeline that touches what it does not declare."""
    path = shutil.copytree(pristine, tmp_path_factory.mktemp("trespass") / "repository")
    repository = Repository(path)
    (path / "secret.txt").write_text("undeclared\n")
    (path / "shown.txt").write_text("undeclared\n")
    (path / "stages" / "hidden.py").write_text("")
    code = """Path("secret.txt").read_text()
    Path("data/stray.txt").write_text("")
    import subprocess
    subprocess.run(["cat", "shown.txt"])  # as native code: no audit hook sees it
    subprocess.run(["touch", "data/native.txt", "data/new.log"])
    import importlib
    importlib.import_module("stages.hidden")"""
    repository.add_to("stages/prepare.py", code)
    connect = """import socket
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))"""
    repository.add_to("stages/report.py", connect)
    repository.add_to("stages/base.py", connect)
    repository.commit()
    return repository.verify()


@pytest.mark.slow
def test_passes_and_leaves_nothing_behind(repository: Repository) -> None:
    repository.commit()
    code, said = repository.verify()
    assert code == 0, said
    rows = [line.split()[::2] for line in said.splitlines()[1:4]]
    assert rows == [[stage, "identical"] for stage in ("base", "prepare", "report")]
    assert "Verified: a clone of commit" in said
    assert not repository.left_behind


@pytest.mark.slow
def test_names_stage_and_file_that_differ(repository: Repository) -> None:
    repository.add_to(
        "stages/prepare.py", 'import time; (out / "when.txt").write_text(str(time.time()))'
    )
    repository.commit()
    code, said = repository.verify()
    assert code == 1
    assert "prepare: out data/prepared: when.txt\n" in said
    assert "report: dep data/prepared: when.txt\n" in said
    assert "base: " not in said
    assert "Not verified: commit" in said
    assert str(repository.left_behind[0]) in said


HOST = 'import os; (out / "home.txt").write_text(os.environ["HOME"])'


def came_from_elsewhere(repository: Repository, stage: str) -> None:
    provenance = repository.path / "reports" / "provenance" / f"{stage}.json"
    provenance.write_text(json.dumps({"machine": {"cpu": "abacus", "gpu": ""}}))
    repository.run("git", "commit", "--quiet", "--all", "--message", "From elsewhere")


@pytest.mark.slow
def test_two_clones_are_compared_where_another_machine_class_made_other_bytes(
    repository: Repository,
) -> None:
    repository.add_to("stages/prepare.py", HOST)
    repository.commit()
    came_from_elsewhere(repository, "prepare")
    code, said = repository.verify()
    assert code == 1
    assert "prepare: out data/prepared: home.txt" in said
    assert "made on another machine class (prepare: abacus)" in said
    assert "2 stages differ from a second clone" in said


@pytest.mark.slow
def test_another_machine_class_excuses_no_stage_but_its_own(repository: Repository) -> None:
    repository.add_to("stages/prepare.py", HOST)
    repository.commit()
    came_from_elsewhere(repository, "base")
    code, said = repository.verify()
    assert code == 1
    assert "Not verified" in said
    assert "2 stages differ from its committed dvc.lock" in said


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
def test_names_what_a_stage_does_not_declare(trespass: tuple[int, str], line: str) -> None:
    code, said = trespass
    assert code == 1
    assert line in said.splitlines()


@pytest.mark.slow
def test_names_nothing_else(trespass: tuple[int, str]) -> None:
    """Not the socket of base, not the modules that lockstep.cli.runner loads for other stages."""
    _, said = trespass
    assert "7 undeclared accesses" in said


def test_refuses_what_is_not_committed(repository: Repository) -> None:
    code, said = repository.verify()
    assert code == 2
    assert "no commit to verify" in said
    repository.run("git", "add", "--all")
    repository.run("git", "commit", "--quiet", "--message", "Never run")
    code, said = repository.verify()
    assert code == 2
    assert said.strip() == "error: dvc.lock: not in the commit; `dvc repro`, then commit it"
    (repository.path / "params.yaml").write_text("seed: 8\n")
    code, said = repository.verify()
    assert code == 2
    assert said.strip() == "error: uncommitted changes in params.yaml; commit or stash them"


def test_imports_are_found_in_every_form(tmp_path: Path) -> None:
    files = {
        "stages/a.py": "from stages import b\n"
        "from lockstep.cli import runner\n"
        "import stages.pages.c as c\nimport json\n",
        "stages/b.py": "def f():\n    from stages.pages import d\n",
        "lockstep/cli/runner.py": "import stages.e\n",
        "stages/e.py": "",
        "stages/pages/__init__.py": "",
        "stages/pages/c.py": "from .d import name\nfrom .. import b\n",
        "stages/pages/d.py": "name = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = import_closure.closure("stages/a.py", tmp_path)
    assert found == {"stages/a.py", "stages/b.py", "stages/pages/c.py", "stages/pages/d.py"}


def test_lock_differences_name_command_parameter_and_path() -> None:
    one = {
        "train": {
            "cmd": "a",
            "deps": [{"path": "x", "hash": "md5", "md5": "1"}],
            "params": {"params.yaml": {"seed": 1, "train": {"epochs": 2}}},
            "outs": [{"path": "y", "hash": "md5", "md5": "2"}],
        },
        "old": {"cmd": "o"},
    }
    other = {
        "train": {
            "cmd": "b",
            "deps": [{"path": "x", "hash": "md5", "md5": "3"}],
            "params": {"params.yaml": {"seed": 1, "train": {"epochs": 3}}},
            "outs": [{"path": "y", "hash": "md5", "md5": "2"}],
        },
        "new": {"cmd": "n"},
    }
    found = [(d.stage, d.kind, d.path) for d in locks.differences(one, other)]
    assert found == [
        ("train", "cmd", ""),
        ("train", "params", "train"),
        ("train", "dep", "x"),
        ("old", "stage", ""),
        ("new", "stage", ""),
    ]
    assert not list(locks.differences(one, one))


ALLOWED = Declared(
    frozenset({"data/raw", "params.yaml"}),
    frozenset({"data/out"}),
    frozenset({"stages/prepare.py"}),
    online=False,
)


@pytest.mark.parametrize(
    ("event", "subject", "askers", "breach"),
    [
        ("read", "data/raw/a.csv", (), ""),
        ("read", "data/rawer.csv", (), "reads data/rawer.csv, which is no dep"),
        ("write", "data/raw/a.csv", (), "writes data/raw/a.csv, which is no out"),
        ("write", "data/.out.partial/a.csv", (), ""),
        ("read", "data/out/a.csv", (), ""),
        ("write", "data", (), ""),
        ("write", ".scratch/train/step-1", (), ""),
        ("read", "stages/train.py", ("lockstep/cli/runner.py", "stages/prepare.py"), ""),
        ("read", "stages/rows.py", ("stages/train.py", "lockstep/cli/runner.py"), ""),
        ("read", "stages/train.py", ("stages/prepare.py", "lockstep/cli/runner.py"),
            "reads stages/train.py, which is no dep"),
        ("read", "reports/timings/train.json", (), "reads reports/timings/train.json, which is no"
            " dep"),
        ("socket", "socket.bind ('::1', 0)", (), ""),
        ("socket", "socket.bind ('::', 0)", (), "opens a socket: socket.bind ('::', 0)"),
    ],
)  # fmt: skip
def test_rules(event: str, subject: str, askers: tuple[str, ...], breach: str) -> None:
    log = [Access(event, subject, askers, 0.0), Access("end", "", (), 1.0)]
    assert accesses.breaches(log, ALLOWED) == ([breach] if breach else [])


def test_a_stage_that_was_not_observed_is_a_breach() -> None:
    (line,) = accesses.breaches([], ALLOWED)
    assert line.startswith("was not observed")


def test_what_differs_first_depends_on_nothing_else_that_differs() -> None:
    def entry(out: str, *deps: str) -> dict[str, Any]:
        return {
            "cmd": out,
            "deps": [{"path": path, "md5": "0"} for path in deps],
            "outs": [{"path": out, "md5": "0"}],
        }

    lock = {
        "report": entry("reports/a.json", "data/judged/figures.json", "data/base"),
        "base": entry("data/base", "seed.txt"),
        "judge": entry("data/judged", "data/base"),
    }
    assert origin(lock, ["report", "judge"]) == "judge"
    assert origin(lock, ["report", "base", "judge"]) == "base"
    assert origin(lock, ["report"]) == "report"
    assert origin(lock, []) is None
