"""Say that another class of machine computed the committed results, if bytes changed for that.

A class is a CPU's maker and instruction sets, and a GPU; it is in reports/provenance.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.metrics.metric_display import describe_metric, sort_metrics, spell_out
from lockstep.predictions import VARIANTS
from lockstep.verify.clone import run_git

RESULTS = ("dvc.lock", "reports/")
"""Files that the stages write and git tracks."""
INPUTS = ("constraints.txt", "data/", "dvc.yaml", "lockstep/", "params.yaml", "stages/")
"""Files that determine the results; git tracks no output in data/."""
RESTORE_COMMAND = "git checkout HEAD -- dvc.lock reports"
"""Command that restores the committed files. It needs no DVC cache."""

Metrics = dict[str, Any]


def describe_other_machine(root: Path) -> str | None:
    """Return a line if only the machine can explain why results differ from HEAD, else None.

    That is the case if results differ from HEAD, no input does, and HEAD names another machine
    class for one of the stages whose results changed. Outside of a git repository this is None.
    """
    try:
        changed = _list_changed_files(root)
        results = [file for file in changed if file.startswith(RESULTS)]
        if not results or any(file.startswith(INPUTS) for file in changed):
            return None
        classes = _find_other_class(root, results)
        if classes is None:
            return None
        committed = json.loads(run_git(root, "show", "HEAD:reports/metrics.json"))
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError):
        return None
    metrics = json.loads((root / "reports/metrics.json").read_text(encoding="utf-8"))
    here, there = classes
    return (
        f"This machine ({here}) is of another class than the one that made the committed results "
        f"({there}), so {len(results)} files differ from the commit and "
        f"{describe_largest_change(committed, metrics)}; `{RESTORE_COMMAND}` restores them"
    )


def describe_largest_change(before: Metrics, after: Metrics) -> str:
    """Say by how much the main metrics of the suites differ at most; shares come first."""
    changes = list(_list_changes(before, after))
    shares = [change for change in changes if describe_metric(change[0]).percent]
    name, title, difference = max(
        shares or changes, key=lambda change: abs(change[2]), default=("", "", 0.0)
    )
    if not difference:
        return "no metric of the table does"
    shown = describe_metric(name).format_difference(difference).lstrip("+−")
    return f"the metrics of the table by at most {shown} ({title})"


def _list_changes(before: Metrics, after: Metrics) -> Iterator[tuple[str, str, float]]:
    """Yield name, title and difference of each suite's main metric in both sets of metrics."""
    for variant in VARIANTS:
        for suite, metrics in after.get(variant, {}).items():
            name = sort_metrics(metrics)[0]
            value = before.get(variant, {}).get(suite, {}).get(name)
            if value is not None:
                title = f"{variant} {spell_out(suite)} {describe_metric(name).title}"
                yield name, title, metrics[name] - value


def _list_changed_files(root: Path) -> list[str]:
    """Return the paths that differ from HEAD or are new, without ignored files."""
    status = run_git(root, "status", "--porcelain", "--untracked-files=all", "-z", "--no-renames")
    return [entry[3:] for entry in status.split("\0") if entry]


def _find_other_class(root: Path, results: list[str]) -> tuple[str, str] | None:
    """Return the classes of this machine and of the committed one for the first changed stage."""
    for file in results:
        if file.startswith("reports/provenance/") and (root / file).exists():
            here = json.loads((root / file).read_bytes())["machine"]
            there = json.loads(run_git(root, "show", f"HEAD:{file}"))["machine"]
            if here != there:
                return _format_class(here), _format_class(there)
    return None


def _format_class(machine: dict[str, str]) -> str:
    return ", ".join(value for value in machine.values() if value)
