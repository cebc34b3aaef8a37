"""Show what an experiment of the queue printed, its errors first."""

import re
import signal
from collections.abc import Sequence

from lockstep.errors import UserError
from lockstep.sweeps.queueing import QUEUED, Experiment

_DVC_ERRORS = ("ERROR: ", "failed to reproduce")
"""Openings of DVC's own errors, which only repeat that a stage failed."""
_ENDED_BY_SIGNAL = re.compile(r"failed to reproduce '([^']+)'.* exited with -(\d+)$")
"""DVC's error if a signal ended the stage, so that it could print nothing."""


def find_log(name: str, experiments: dict[str, Experiment]) -> str:
    """Return the output of an experiment; raise UserError if it has none yet."""
    experiment = experiments.get(name)
    if experiment is None:
        known = ", ".join(experiments) or "none"
        raise UserError(f"NAME: {name}: no such experiment on this commit; there are: {known}")
    text = read_log(experiment)
    if not text:
        state = "waits in the queue" if experiment.state == QUEUED else "left no output"
        raise UserError(f"NAME: {name}: {state}")
    return text


def read_log(experiment: Experiment) -> str:
    """Return the output of an experiment; empty if there is none."""
    if experiment.log is None or not experiment.log.exists():
        return ""
    return experiment.log.read_bytes().decode("utf-8", errors="replace")


def summarize_log(text: str, number: int) -> list[str]:
    """Return the lines with the error, an empty line and the last `number` lines.

    The error is that of the stage: its lines that start with `error:`, the last line of a
    traceback, the signal that ended it, or DVC's own error if there is none of these.
    """
    lines = split_lines(text)
    errors = find_errors(lines)
    return [*errors, *[""] * bool(errors), *lines[-number:]]


def split_lines(text: str) -> list[str]:
    """Return the lines that are not empty; of a line that was overwritten, its last state."""
    lines = [line.rstrip().rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line]


def find_errors(lines: Sequence[str]) -> list[str]:
    """Return the lines that say why a stage failed; none if it did not."""
    errors = [line for line in lines if line.startswith(("error:", "stopped by "))]
    if errors:
        return errors
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    after = lines[starts[-1] + 1 :] if starts else []
    exceptions = [line for line in after if not line.startswith((" ", *_DVC_ERRORS))]
    own = [_describe_signal(line) for line in lines if line.startswith(_DVC_ERRORS)]
    return exceptions[:1] or own[:1]


def _describe_signal(line: str) -> str:
    """Return which signal ended the stage; another error of DVC is returned as it is."""
    match = _ENDED_BY_SIGNAL.search(line)
    if match is None:
        return line
    number = int(match[2])
    cause = ", which the system does if memory runs out" if number == signal.SIGKILL else ""
    return f"{match[1]}: ended by signal {number} ({signal.strsignal(number)}){cause}"
