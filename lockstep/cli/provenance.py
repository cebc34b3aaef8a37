"""Timings and provenance of a stage's run, written beside the reports for people to read.

They vary from run to run, so they are no outputs of a stage.
"""

import json
import resource
import time
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.models.machine import read_machine_class

TIMINGS = Path("reports/timings")
PROVENANCE = Path("reports/provenance")

_timings: dict[str, float] = {}


def add_timings(**values: float) -> None:
    """Add measurements of a stage's speed to its file in reports/timings."""
    _timings.update(values)


def write_provenance(stage: str, out: Path, started: float) -> None:
    """Write wall time, peak memory and machine of the run that first produced this result.

    `stage` is DVC's name of the stage, `out` its output and `started` the value of
    `time.perf_counter` at its start. A rerun that reproduces the same bytes does not change
    the files, so the git tree stays clean.
    """
    name = f"{stage.replace('@', '-')}.json"
    provenance = {"machine": read_machine_class(), "result": outputs.hash_path(out)}
    if _read_result(PROVENANCE / name) == provenance["result"] and (TIMINGS / name).exists():
        return
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timings = {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mib": round(peak_kib / 1024),
        **_timings,
    }
    for file, values in ((TIMINGS / name, timings), (PROVENANCE / name, provenance)):
        with outputs.atomic_file(file) as partial:
            outputs.write_json(partial, values)


def _read_result(file: Path) -> Any:
    return json.loads(file.read_bytes())["result"] if file.exists() else None
