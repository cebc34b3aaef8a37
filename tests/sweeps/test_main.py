"""A sweep says which experiments have no result."""

import pytest

from lockstep.sweeps import __main__ as sweeps
from lockstep.sweeps.queueing import Experiment


def test_an_experiment_that_dvc_no_longer_lists_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that dies when it takes an experiment leaves nothing of it in the queue."""
    sweeps.report_missing([Experiment("r=8")])
    assert capsys.readouterr().err.startswith("lost: r=8\none experiment has no result; ")
