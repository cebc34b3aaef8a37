"""Imports that are left out change no library's behaviour where it is used."""

import subprocess
import sys

import pytest

from lockstep.models import lean_imports
from tests.conftest import REPOSITORY


def run_python(code: str) -> str:
    """Run code in a new process, where no module is imported yet, and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_bitsandbytes_can_be_left_out_and_restored():
    code = (
        "from lockstep.models import lean_imports\n"
        "from transformers.utils import is_bitsandbytes_available\n"
        "lean_imports.leave_out_bitsandbytes()\n"
        "print(is_bitsandbytes_available())\n"
        "lean_imports.import_bitsandbytes()\n"
        "import bitsandbytes, torch\n"
        "print(is_bitsandbytes_available(), bitsandbytes.__name__)\n"
        "print(torch.compile is not lean_imports.keep_function)\n"
    )
    assert run_python(code).split() == ["False", "True", "bitsandbytes", "True"]


@pytest.mark.slow
def test_libraries_find_no_scipy_but_this_process_can_import_it():
    code = (
        "from lockstep.models import lean_imports\n"
        "from transformers.utils import is_scipy_available\n"
        "lean_imports.leave_out_scipy()\n"
        "import scipy.optimize\n"
        "print(is_scipy_available(), scipy.__name__)\n"
    )
    assert run_python(code).split() == ["False", "scipy"]


@pytest.mark.parametrize("name", ["json", "a_module_that_is_missing"])
def test_a_hidden_module_is_found_again_after_the_block(name: str):
    before = sys.modules.get(name)
    with lean_imports.hide_module(name), pytest.raises(ImportError):
        __import__(name)
    assert sys.modules.get(name) is before


def test_a_decorator_that_compiles_nothing_returns_the_function():
    assert lean_imports.keep_function(len) is len
    assert lean_imports.keep_function(dynamic=True)(len) is len
