"""How a stage ends: its exit code, one line, and nothing half-written."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DONE, BUG, MISTAKE = 0, 1, 2

COMMAND = """
import sys
import time
from pathlib import Path

import click

from lockstep import outputs
from lockstep.cli import runner
from lockstep.errors import UserError


@click.command()
@click.argument("what")
@click.argument("out", type=runner.OUT)
def main(what, out):
    with outputs.atomic_folder(out) as partial:
        (partial / "a").write_text("whole")
        if what == "wait":
            Path("ready").write_text("")
            time.sleep(60)
        if what == "refuse":
            raise UserError("a.csv:3: empty_text; repair it\\na.csv:9: control_token")
        if what == "bug":
            raise RuntimeError("a bug")
        if what == "large":
            (partial / "b").write_bytes(bytes(10**6))
        if what == "wrapped":
            raise RuntimeError("writer: I/O error: No space left on device (os error 28)")
    click.echo("done", err=True)


runner.run(main)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the command and the real parameters."""
    (tmp_path / "command.py").write_text(COMMAND)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def ran(here: Path, *arguments: str, **more: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "command.py", *arguments],
        cwd=here, env=environment(**more), capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "", "stdout is not for messages"
    return done.returncode, done.stderr.splitlines()


def listing(here: Path) -> list[str]:
    given = {"command.py", "params.yaml", "ready"}
    paths = (path.relative_to(here).as_posix() for path in here.rglob("*"))
    return sorted(path for path in paths if path not in given)


def appears(path: Path) -> bool:
    return waits(path.exists)


def waits(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_done_is_0_and_the_output_whole(here: Path) -> None:
    assert ran(here, "nothing", "out") == (DONE, ["done"])
    assert listing(here) == ["out", "out/a"], "a run outside of DVC leaves its output alone"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_leaves_nothing_half_written(
    here: Path, number: signal.Signals, code: int
) -> None:
    (here / "out").mkdir()
    (here / "out" / "old").write_text("old")
    stage = subprocess.Popen(
        [sys.executable, "command.py", "wait", "out"],
        cwd=here, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert appears(here / "ready")
        stage.send_signal(number)
        _, told = stage.communicate(timeout=60)
    finally:
        stage.kill()
    assert stage.returncode == code
    assert told == f"stopped by {number.name}; nothing half-written was left\n"
    assert listing(here) == ["out", "out/old"]


def test_a_refusal_is_2_and_one_error_line_for_each_mistake(here: Path) -> None:
    lines = ["error: a.csv:3: empty_text; repair it", "error: a.csv:9: control_token"]
    assert ran(here, "refuse", "out") == (MISTAKE, lines)
    assert listing(here) == []


def test_a_bug_is_1_and_a_traceback(here: Path) -> None:
    code, lines = ran(here, "bug", "out")
    assert code == BUG
    assert lines[0].startswith("Traceback") and lines[-1] == "RuntimeError: a bug"
    assert listing(here) == []


def test_wrong_arguments_are_2_in_one_line(here: Path) -> None:
    code, lines = ran(here, "nothing")
    assert code == MISTAKE
    assert lines == ["error: Missing argument 'OUT'; see --help"]


def test_mistaken_parameters_are_told_before_the_stage_does_work(here: Path) -> None:
    text = (here / "params.yaml").read_text(encoding="utf-8")
    (here / "params.yaml").write_text(text.replace("\nseed: 7", "\nseed: -7"), encoding="utf-8")
    code, lines = ran(here, "wait", "out")
    assert code == MISTAKE
    assert lines == ["error: params.yaml: seed: input should be greater than or equal to 0, not -7"]
    assert listing(here) == []


def test_help_needs_no_parameters(here: Path) -> None:
    (here / "params.yaml").unlink()
    done = subprocess.run(
        [sys.executable, "command.py", "--help"],
        cwd=here, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (DONE, "")
    assert done.stdout.startswith("Usage: command.py [OPTIONS] WHAT OUT")


def test_a_file_in_the_output_s_place_is_kept(here: Path) -> None:
    (here / "out").write_text("notes")
    code, lines = ran(here, "wait", "out")
    assert code == MISTAKE
    assert lines == ["error: Invalid value for 'OUT': Directory 'out' is a file; see --help"]
    assert (here / "out").read_text() == "notes"


def test_a_full_disk_is_2_in_one_line_and_the_old_output_stays(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "old").write_text("old")
    limit = 100_000
    done = subprocess.run(
        [sys.executable, "command.py", "large", "out"],
        cwd=here, env=environment(), capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == MISTAKE, done.stderr
    assert done.stderr == "error: output: file too large; free space or quota, then run again\n"
    assert listing(here) == ["out", "out/old"]


def test_a_full_disk_is_known_inside_a_library_s_own_error(here: Path) -> None:
    code, lines = ran(here, "wrapped", "out")
    assert code == MISTAKE
    assert lines == [
        "error: writer: I/O error: No space left on device (os error 28); "
        "free space or quota, then run again"
    ]


def test_under_dvc_the_timing_is_that_of_the_run_that_first_made_the_result(here: Path) -> None:
    assert ran(here, "nothing", "out", DVC_STAGE="evaluate@base") == (DONE, ["done"])
    timing = here / "reports/timings/evaluate-base.json"
    provenance = here / "reports/provenance/evaluate-base.json"
    assert listing(here) == [
        "out", "out/a", "reports", "reports/provenance", "reports/provenance/evaluate-base.json",
        "reports/timings", "reports/timings/evaluate-base.json",
    ]  # fmt: skip
    first = timing.read_bytes()
    assert sorted(json.loads(first)) == ["peak_memory_mib", "seconds"]
    assert min(json.loads(first).values()) > 0
    origin = json.loads(provenance.read_bytes())
    assert sorted(origin) == ["machine", "result"]
    altered = first.replace(b'"seconds": ', b'"seconds": 9')  # a rerun would take another time
    timing.write_bytes(altered)
    ran(here, "nothing", "out", DVC_STAGE="evaluate@base")
    assert timing.read_bytes() == altered, "the same result keeps its timing, byte for byte"
    provenance.write_text(json.dumps(origin | {"result": "of other bytes"}))
    ran(here, "nothing", "out", DVC_STAGE="evaluate@base")
    assert json.loads(provenance.read_bytes()) == origin
    assert timing.read_bytes() != altered


def test_a_failed_run_has_no_timing(here: Path) -> None:
    ran(here, "refuse", "out", DVC_STAGE="train")
    assert listing(here) == []


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's own")
def test_a_stage_dies_with_dvc(here: Path) -> None:
    """The parent is killed, not asked; the stage still cleans up behind itself."""
    code = (
        "import subprocess, sys\n"
        "stage = subprocess.Popen([sys.executable, 'command.py', 'wait', 'out'])\n"
        "print(stage.pid, flush=True)\n"
        "stage.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=here, env=environment(DVC_STAGE="train"),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert parent.stdout is not None
        stage = int(parent.stdout.readline())
        assert appears(here / "ready")
        assert listing(here) == [".out.partial", ".out.partial/a"]
    finally:
        parent.kill()
        parent.communicate()
    assert waits(lambda: listing(here) == []), f"process {stage} outlived its parent"
