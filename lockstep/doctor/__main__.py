"""Check the set-up of this clone and print a line for each subject, with the remedy.

The exit code is 2 if a line is an error, i.e. something cannot work; a warning does not change it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lockstep.doctor import gpu_checks, machine_checks, python_checks, repository_checks
from lockstep.doctor.finding import ERROR, WARNING, Finding

CHECKS = (
    python_checks.check_packages,
    gpu_checks.check_gpu,
    machine_checks.check_disk,
    machine_checks.check_openmp,
    machine_checks.check_browser,
    repository_checks.check_repository,
)


def main() -> int:
    """Print the findings about the clone in the current folder and return the exit code."""
    argparse.ArgumentParser(prog="python -m lockstep.doctor", description=__doc__).parse_args()
    root = Path.cwd()
    levels = []
    for finding in run_checks(root):
        print(finding, flush=True)
        levels.append(finding.level)
    print(f"doctor: errors: {levels.count(ERROR)}, warnings: {levels.count(WARNING)}")
    return 2 if ERROR in levels else 0


def run_checks(root: Path) -> Iterator[Finding]:
    """Yield the findings; the checks wait for other programs and run side by side.

    With a Python that is too old, or in another folder, nothing else is checked.
    """
    if not (root / "dvc.yaml").is_file():
        remedy = "run it from the root of a clone of the repository"
        yield Finding(ERROR, "folder", f"{root} has no dvc.yaml", remedy)
        return
    for finding in python_checks.check_python(root):
        yield finding
        if finding.level == ERROR:
            return
    with ThreadPoolExecutor() as pool:
        for findings in pool.map(lambda check: [*check(root)], CHECKS):
            yield from findings


if __name__ == "__main__":
    sys.exit(main())
