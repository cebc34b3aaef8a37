"""A stage ends with a documented exit code and without partial output."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import (
    BUG,
    MISTAKE,
    SUCCESS,
    list_outputs,
    make_environment,
    run_command,
    wait_until,
)


def stop_command(
    workspace: Path, number: signal.Signals, before: Callable[[], object] | None = None
) -> tuple[int, str]:
    """Start the command, stop it by a signal while it works; return its exit code and stderr.

    `before` runs in the new process before the command.
    """
    (workspace / "out").mkdir()
    (workspace / "out" / "old").write_text("old")
    stage = subprocess.Popen(
        [sys.executable, "command.py", "wait", "out"],
        cwd=workspace, env=make_environment(), stderr=subprocess.PIPE, text=True, preexec_fn=before,
    )  # fmt: skip
    try:
        assert wait_until((workspace / "ready").exists)
        stage.send_signal(number)
        _, message = stage.communicate(timeout=60)
    finally:
        stage.kill()
    return stage.returncode, message


def test_success_exits_with_0_and_leaves_the_complete_output(workspace: Path) -> None:
    assert run_command(workspace, "nothing", "out") == (SUCCESS, ["done"])
    assert list_outputs(workspace) == ["out", "out/a"], (
        "a run outside of DVC writes only its output"
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_leaves_no_partial_output(
    workspace: Path, number: signal.Signals, code: int
) -> None:
    message = f"stopped by {number.name}; no partial output was left\n"
    assert stop_command(workspace, number) == (code, message)
    assert list_outputs(workspace) == ["out", "out/old"]


def ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_sigterm_ends_a_background_stage_cleanly(workspace: Path) -> None:
    """A shell without job control ignores SIGINT in processes that it starts with `&`."""
    message = "stopped by SIGTERM; no partial output was left\n"
    assert stop_command(workspace, signal.SIGTERM, ignore_sigint) == (143, message)
    assert list_outputs(workspace) == ["out", "out/old"]


def test_nohup_keeps_a_stage_running(workspace: Path) -> None:
    stage = subprocess.Popen(
        ["nohup", sys.executable, "command.py", "wait", "out"],
        cwd=workspace, env=make_environment(), stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert wait_until((workspace / "ready").exists)
        stage.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            stage.wait(timeout=0.5)
    finally:
        stage.terminate()
    assert stage.wait(timeout=60) == 143
    assert list_outputs(workspace) == []


def test_user_errors_exit_with_2_and_print_one_line_each(workspace: Path) -> None:
    lines = ["error: a.csv:3: empty_text; repair it", "error: a.csv:9: control_token"]
    assert run_command(workspace, "refuse", "out") == (MISTAKE, lines)
    assert list_outputs(workspace) == []


def test_a_bug_exits_with_1_and_prints_a_traceback(workspace: Path) -> None:
    code, lines = run_command(workspace, "bug", "out")
    assert code == BUG
    assert lines[0].startswith("Traceback") and lines[-1] == "RuntimeError: a bug"
    assert list_outputs(workspace) == []


def test_wrong_arguments_exit_with_2_and_print_one_line(workspace: Path) -> None:
    code, lines = run_command(workspace, "nothing")
    assert code == MISTAKE
    assert lines == ["error: Missing argument 'OUT'; see --help"]


def test_mistakes_in_params_are_reported_before_the_stage_does_work(workspace: Path) -> None:
    text = (workspace / "params.yaml").read_text(encoding="utf-8")
    (workspace / "params.yaml").write_text(
        text.replace("\nseed: 7", "\nseed: -7"), encoding="utf-8"
    )
    code, lines = run_command(workspace, "wait", "out")
    assert code == MISTAKE
    assert lines == ["error: params.yaml: seed: input should be greater than or equal to 0, not -7"]
    assert list_outputs(workspace) == []


def test_help_needs_no_parameters(workspace: Path) -> None:
    (workspace / "params.yaml").unlink()
    result = subprocess.run(
        [sys.executable, "command.py", "--help"],
        cwd=workspace, env=make_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (SUCCESS, "")
    assert result.stdout.startswith("Usage: command.py [OPTIONS] ACTION OUT")


def test_a_file_at_the_output_path_is_not_overwritten(workspace: Path) -> None:
    (workspace / "out").write_text("notes")
    code, lines = run_command(workspace, "wait", "out")
    assert code == MISTAKE
    assert lines == ["error: Invalid value for 'OUT': Directory 'out' is a file; see --help"]
    assert (workspace / "out").read_text() == "notes"


def test_a_read_only_folder_is_an_error_before_the_stage_does_work(workspace: Path) -> None:
    """The kernel lets root write into any folder, so its answer is replaced."""
    script = (
        "import os, runpy; os.access = lambda path, mode: False; "
        "runpy.run_path('command.py', run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "refuse", "out"],
        cwd=workspace, env=make_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == MISTAKE
    assert result.stderr == (
        f"error: out: {workspace} is read-only; make it writable or name another output\n"
    )


def test_a_full_disk_exits_with_2_and_keeps_the_old_output(workspace: Path) -> None:
    (workspace / "out").mkdir()
    (workspace / "out" / "old").write_text("old")
    limit = 100_000
    result = subprocess.run(
        [sys.executable, "command.py", "large", "out"],
        cwd=workspace, env=make_environment(), capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert result.returncode == MISTAKE, result.stderr
    assert result.stderr == "error: output: file too large; free space or quota, then run again\n"
    assert list_outputs(workspace) == ["out", "out/old"]


def test_a_full_disk_is_recognized_inside_a_library_s_own_error(workspace: Path) -> None:
    code, lines = run_command(workspace, "wrapped", "out")
    assert code == MISTAKE
    assert lines == [
        "error: writer: I/O error: No space left on device (os error 28); "
        "free space or quota, then run again"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG exists on Linux only")
def test_a_stage_ends_when_dvc_is_killed(workspace: Path) -> None:
    """The stage also cleans up if its parent is killed by SIGKILL."""
    code = (
        "import subprocess, sys\n"
        "stage = subprocess.Popen([sys.executable, 'command.py', 'wait', 'out'])\n"
        "print(stage.pid, flush=True)\n"
        "stage.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=workspace, env=make_environment(DVC_STAGE="train"),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert parent.stdout is not None
        stage = int(parent.stdout.readline())
        assert wait_until((workspace / "ready").exists)
        assert list_outputs(workspace) == [".out.partial", ".out.partial/a"]
    finally:
        parent.kill()
        parent.communicate()
    assert wait_until(lambda: list_outputs(workspace) == []), f"process {stage} outlived its parent"


@pytest.mark.slow
def test_the_first_stage_checks_libraries(workspace: Path) -> None:
    text = (workspace / "params.yaml").read_text(encoding="utf-8")
    wrong = text.replace("schedule: cosine", "schedule: cosin")
    (workspace / "params.yaml").write_text(wrong, encoding="utf-8")
    code, lines = run_command(workspace, "nothing", "out", "--first")
    assert (code, len(lines)) == (MISTAKE, 1)
    assert lines[0].startswith("error: params.yaml: train.schedule: ")
    assert run_command(workspace, "nothing", "out") == (SUCCESS, ["done"]), (
        "only the first stage checks libraries"
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--first"]])
def test_a_mistake_in_one_section_does_not_hide_an_option_that_a_library_refuses(
    workspace: Path, options: list[str]
) -> None:
    text = (workspace / "params.yaml").read_text(encoding="utf-8")
    wrong = text.replace("schedule: cosine", "schedule: cosin").replace("title: ", "titel: ")
    (workspace / "params.yaml").write_text(wrong, encoding="utf-8")
    code, lines = run_command(workspace, "nothing", "out", *options)
    assert (code, len(lines)) == (MISTAKE, 3), lines
    assert lines[0].startswith("error: params.yaml: report.title: missing")
    assert lines[1].startswith("error: params.yaml: report.titel: unknown key")
    assert lines[2].startswith("error: params.yaml: train.schedule: ")
