"""A sweep says which experiments have no result."""

import re
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.sweeps import __main__ as sweeps
from lockstep.sweeps.queueing import Experiment


def test_an_experiment_that_dvc_no_longer_lists_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that dies when it takes an experiment leaves nothing of it in the queue."""
    sweeps.report_missing([Experiment("r=8")])
    assert capsys.readouterr().err.startswith("lost: r=8\none experiment has no result; ")


def test_a_mistake_in_params_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    changed = re.sub(r"^seed:.*$", "seed: abc", text, flags=re.MULTILINE)
    (tmp_path / "params.yaml").write_text(changed, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params.yaml: seed: "):
        sweeps.main(["seeds", "3"], standalone_mode=False)
