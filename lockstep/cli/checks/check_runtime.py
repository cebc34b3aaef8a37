"""Checks of the section `runtime`."""

import importlib.metadata
from collections.abc import Iterator

from lockstep.cli.sections import RuntimeParams

PACKAGES = {"mlflow": ["mlflow", "mlflow-skinny"]}
"""Packages of a tool, one of which is enough; the others are named after the tool."""


def is_installed(package: str) -> bool:
    """Whether a package is installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_report_to(runtime: RuntimeParams) -> Iterator[str]:
    """Yield a line for each tool of `runtime.report_to` that is not installed.

    The extras in pyproject.toml have the names of the tools.
    """
    for tool in runtime.report_to:
        if not any(map(is_installed, PACKAGES.get(tool, [tool]))):
            yield (
                f"runtime.report_to: {tool} is not installed; run "
                f"`.venv/bin/python -m pip install --constraint constraints.txt '.[{tool}]'`"
            )
