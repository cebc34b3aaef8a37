"""The doctor finds what is wrong with git, cache, lock and remote of real repositories."""

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from lockstep.doctor import repository_checks
from lockstep.doctor.finding import Finding

PIPELINE = """\
stages:
  copy:
    cmd: mkdir out && cp in.txt out/copy.txt
    deps: [in.txt]
    outs: [out]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose pipeline of one stage has run."""
    root = tmp_path_factory.mktemp("finished") / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "in.txt").write_text("one")
    with contextlib.chdir(root), Repo.init() as repo:
        repo.reproduce()
    (root / ".dvc/config").write_text("[cache]\n    type = hardlink\n")
    return root


@pytest.fixture
def repository(finished: Path, tmp_path: Path) -> Path:
    """A copy of the repository, which a test may damage."""
    return shutil.copytree(finished, tmp_path / "repository")


@pytest.fixture
def configure(repository: Path) -> Callable[[str], None]:
    """Write DVC's configuration."""
    return lambda text: (repository / ".dvc/config").write_text(text) and None


def check(root: Path) -> dict[str, Finding]:
    """Return the findings by subject."""
    with contextlib.chdir(root):
        return {finding.subject: finding for finding in repository_checks.check_repository(root)}


def test_a_finished_pipeline_without_a_remote(repository: Path):
    findings = check(repository)
    assert {name: finding.level for name, finding in findings.items()} == {
        "cache": "ok", "dvc.lock": "ok", "remote": "warning"
    }  # fmt: skip
    assert findings["remote"].remedy == "run `dvc remote add --default NAME URL`"
    assert not [path for path in repository.iterdir() if path.name.startswith("link")]


def test_outside_of_git_there_is_one_plain_line(repository: Path):
    shutil.rmtree(repository / ".git")
    (finding,) = repository_checks.check_repository(repository)
    assert finding.level == "error"
    assert finding.message.startswith("DVC needs a git repository: not a git repository")
    assert "\n" not in str(finding)


def test_without_git_itself(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(repository))
    (finding,) = repository_checks.check_repository(repository)
    assert (finding.level, finding.remedy) == ("error", "install git")


MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a second file system


@pytest.mark.skipif(not MEMORY_DISK.is_dir(), reason="needs a second file system")
def test_a_cache_on_another_file_system_stores_every_output_twice(
    repository: Path, configure: Callable[[str], None], tmp_path: Path
):
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as cache:
        if Path(cache).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("needs a second file system")
        configure(f'[cache]\n    type = "reflink,hardlink,copy"\n    dir = {cache}\n')
        finding = check(repository)["cache"]
        assert finding.level == "warning"
        assert f"copy from {cache}" in finding.message
        configure(f'[cache]\n    type = "reflink,hardlink,symlink,copy"\n    dir = {cache}\n')
        finding = check(repository)["cache"]
        assert (finding.level, finding.message) == ("ok", f"symlink from {cache}/files/md5")


def test_a_changed_dependency_makes_the_lock_stale(repository: Path):
    (repository / "in.txt").write_text("another")
    finding = check(repository)["dvc.lock"]
    assert finding.level == "warning"
    assert finding.message == "the workspace is not that of dvc.lock: copy"
    assert "dvc repro" in finding.remedy


def test_outputs_that_are_not_here_are_to_be_pulled(repository: Path):
    shutil.rmtree(repository / "out")
    shutil.rmtree(repository / ".dvc/cache")
    finding = check(repository)["dvc.lock"]
    assert finding.message == "the outputs of these stages are not here: copy"
    assert "dvc pull" in finding.remedy


def test_a_lock_with_marks_of_a_merge_is_an_error(repository: Path):
    lock = repository / "dvc.lock"
    text = lock.read_text()
    lock.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    finding = check(repository)["dvc"]
    assert finding.level == "error"
    assert "dvc.lock" in finding.message


def test_a_remote_that_has_nothing_yet_wants_a_push(
    repository: Path, configure: Callable[[str], None], tmp_path: Path
):
    (tmp_path / "storage").mkdir()
    configure(f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {tmp_path}/storage\n")
    findings = check(repository)
    assert findings["remote"].level == "warning"
    assert "is empty or does not exist" in findings["remote"].message
    assert (findings["push"].level, findings["push"].message) == (
        "warning", "not yet in the remote: out"
    )  # fmt: skip
    with Repo(str(repository)) as repo:
        repo.push()
    findings = check(repository)
    assert (findings["remote"].level, findings["push"].level) == ("ok", "ok")


def test_a_remote_folder_that_is_not_mounted_is_an_error(
    repository: Path, configure: Callable[[str], None], tmp_path: Path
):
    configure(f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {tmp_path}/absent\n")
    finding = check(repository)["remote"]
    assert finding.level == "error"
    assert f"shared ({tmp_path}/absent) is no folder here" in finding.message


def test_remotes_without_a_default_are_named(repository: Path, configure: Callable[[str], None]):
    configure("['remote \"shared\"']\n    url = ../storage\n")
    finding = check(repository)["remote"]
    assert finding.level == "warning"
    assert "there are shared" in finding.message


@pytest.mark.skipif(
    importlib.util.find_spec("dvc_s3") is not None, reason="the package of the remote is installed"
)
def test_a_remote_whose_package_is_missing_is_an_error(
    repository: Path, configure: Callable[[str], None]
):
    shutil.rmtree(repository / ".dvc/cache")  # DVC's status alone would ask the remote nothing
    configure("[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket/folder\n")
    finding = check(repository)["remote"]
    assert finding.level == "error"
    assert "dvc-s3" in finding.message
