"""The doctor compares Python and the installed packages with what the repository demands."""

import importlib.metadata
import re
from pathlib import Path

import pytest

from lockstep.doctor import python_checks
from lockstep.doctor.finding import Finding
from tests.conftest import REPOSITORY

CLICK = importlib.metadata.version("click")


def write_project(
    root: Path, python: str = ">=3.11", packages: str = '"click"', constraints: str = ""
) -> Path:
    (root / "pyproject.toml").write_text(
        f'[project]\nrequires-python = "{python}"\ndependencies = [{packages}]\n'
        '[project.optional-dependencies]\ndev = ["pytest"]\n'
    )
    (root / "constraints.txt").write_text(constraints)
    return root


def test_an_older_python_is_an_error_that_names_the_needed_one(tmp_path: Path):
    (finding,) = python_checks.check_python(write_project(tmp_path, python=">=3.99"))
    assert finding.level == "error"
    assert "3.99 or newer is needed" in finding.message
    assert "make PYTHON=python3.99" in finding.remedy


def test_this_python_is_new_enough_for_the_repository():
    (finding,) = python_checks.check_python(REPOSITORY)
    assert finding.level == "ok"


def check(root: Path) -> list[Finding]:
    return [*python_checks.check_packages(root)]


def test_a_missing_package_is_an_error_with_the_remedy(tmp_path: Path):
    packages = '"click", "no-such-package[extra]>=2"'
    (finding,) = check(write_project(tmp_path, packages=packages))
    assert (finding.level, finding.message) == ("error", "not installed: no-such-package")
    assert finding.remedy == "run `make -B setup`"


def test_another_version_than_that_of_the_constraints_is_a_warning(tmp_path: Path):
    (finding,) = check(write_project(tmp_path, constraints="click==0.1\n"))
    assert finding.level == "warning"
    assert f"click {CLICK} instead of 0.1" in finding.message


@pytest.mark.parametrize("pin", [f"Click=={CLICK}", "no-such-package==1.0", "# a comment"])
def test_versions_of_installed_packages_alone_are_compared(tmp_path: Path, pin: str):
    (finding,) = check(write_project(tmp_path, constraints=f"{pin}\n"))
    assert finding.level == "ok"


def test_the_local_part_of_a_version_does_not_count(tmp_path: Path):
    """A wheel of torch for the CPU has the version 2.13.0+cpu."""
    version = re.split(r"\+", importlib.metadata.version("torch"))[0]
    (finding,) = check(write_project(tmp_path, constraints=f"torch=={version}\n"))
    assert finding.level == "ok"
