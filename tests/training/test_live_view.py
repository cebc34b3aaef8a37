"""`runtime.report_to` shows a training in a tool; no byte of the result changes."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")

TOOL = """
import os, random
from types import SimpleNamespace

import numpy, torch

__version__ = "0.43.0"
context_vars = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))
config, entries, runs = {}, [], []

def init(**options):
    runs.append((options["project"], options["name"], os.environ["TRACKIO_DIR"]))
    print("a line of the tool")

def log(entry):
    random.random(), numpy.random.rand(), torch.rand(1)
    entries.append(entry)

def finish():
    entries.append("end")
"""
"""Module in the place of trackio, with what transformers calls of it. It draws random numbers."""


@pytest.fixture(autouse=True)
def restore_environment() -> Iterator[None]:
    """Restore the variables that tell tools where to write."""
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def install_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a module in the place of trackio."""

    def install(source: str = TOOL) -> None:
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages/trackio.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path / "packages"))

    sys.modules.pop("trackio", None)
    yield install
    sys.modules.pop("trackio", None)


def test_a_tool_sees_the_log_and_changes_no_byte(
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    read_folder: Callable[[Path], dict[str, bytes]],
    install_tool: Callable[..., None],
):
    """Dropout makes the result depend on the random numbers that the tool draws too."""
    changes = {"train.epochs": 1.0}
    run_stage_in_process(*ARGUMENTS, "plain", changes=changes)
    assert not (workspace / ".scratch/live").exists()
    install_tool()
    shown = {**changes, "runtime.report_to": ["trackio"]}
    stderr = run_stage_in_process(*ARGUMENTS, "shown", changes=shown)
    assert read_folder(workspace / "shown") == read_folder(workspace / "plain")
    assert "a line of the tool" in stderr

    import trackio

    ((project, name, folder),) = trackio.runs
    assert (project, folder) == ("lockstep", str(workspace / ".scratch/live/trackio"))
    assert name.startswith("workspace-")
    *entries, end = trackio.entries
    assert end == "end"
    losses = [entry["train/loss"] for entry in entries if "train/loss" in entry]
    rows = (workspace / "plain/log.csv").read_text().splitlines()[1:]
    assert [f"{loss:.6g}" for loss in losses] == [row.split(",")[2] for row in rows]
    assert any("eval/loss" in entry for entry in entries)


@pytest.mark.parametrize(
    "failing",
    ["raise ImportError('no backend')", f"{TOOL}\ndef log(entry): raise OSError('no backend')\n"],
    ids=["import", "log"],
)
def test_a_tool_that_fails_is_left_out_and_the_training_goes_on(
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    install_tool: Callable[..., None],
    failing: str,
):
    install_tool(failing)
    changes = {"train.epochs": 0.5, "runtime.report_to": ["trackio"]}
    stderr = run_stage_in_process(*ARGUMENTS, "out", changes=changes)
    lines = [line for line in stderr.splitlines() if "report_to" in line]
    assert lines == ["train: runtime.report_to: trackio is left out: no backend"]
    assert (workspace / "out/summary.json").exists()


def test_variables_of_the_user_are_kept(
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    install_tool: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
):
    install_tool()
    monkeypatch.setenv("TRACKIO_DIR", str(workspace / "mine"))
    changes = {"train.epochs": 0.5, "runtime.report_to": ["trackio"]}
    run_stage_in_process(*ARGUMENTS, "out", changes=changes)

    import trackio

    assert [folder for _, _, folder in trackio.runs] == [str(workspace / "mine")]


def test_tensorboard_shows_the_losses_of_the_log(
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    read_folder: Callable[[Path], dict[str, bytes]],
):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    changes = {"train.epochs": 1.0}
    run_stage_in_process(*ARGUMENTS, "plain", changes=changes)
    shown = {**changes, "runtime.report_to": ["tensorboard"]}
    run_stage_in_process(*ARGUMENTS, "shown", changes=shown)
    assert read_folder(workspace / "shown") == read_folder(workspace / "plain")
    (folder,) = (workspace / ".scratch/live/tensorboard").iterdir()
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    rows = (workspace / "plain/log.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[2]) for row in rows]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses)
