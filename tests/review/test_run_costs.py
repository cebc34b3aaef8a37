"""Costs of two runs side by side."""

import json
from pathlib import Path
from typing import Any

from lockstep.review.run_costs import CostChange, compare_costs
from lockstep.review.snapshot import Snapshot


def make_side(root: Path, **train: Any) -> Snapshot:
    (root / "reports/timings").mkdir(parents=True)
    (root / "reports/timings/train.json").write_text(json.dumps(train))
    return Snapshot(root)


def test_a_training_that_resumed_says_from_which_step_its_time_counts(tmp_path: Path) -> None:
    base = make_side(tmp_path / "base", seconds=100.0)
    this = make_side(tmp_path / "this", seconds=15.0, resumed_from_step=40)
    costs = compare_costs(base, this, ({}, {}))
    resumed = "15 s since step 40, where it resumed"
    assert CostChange(name="time of training", base="100 s", this=resumed) in costs
