"""The settings of a sweep are ordered, told apart by their intervals, and put on Pareto fronts."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.statistics.confidence_intervals import Interval
from lockstep.sweeps import settings_table
from lockstep.sweeps.experiments import WORKSPACE, Run, RunMetrics
from lockstep.sweeps.settings_table import TRAIN_TIMINGS, Estimate, Row, read_train_seconds

SPLIT = {"prepare.split.folds": 0, "prepare.split.fold": 0, "prepare.split.train_fraction": 1.0}


def make_run(accuracy: float, seed: int = 7, size: int = 1000, **inputs: Any) -> Run:
    metrics = {
        "base": {},
        "merged": {"intent": {"accuracy": accuracy}, "perplexity": {"perplexity": 1 / accuracy}},
        "data": {"train": 1000, "test": 500},
        "train": {"loss": 0.1, "validation_loss": 0.2},
        "quantize": {"bytes": size},
    }
    values = {**SPLIT, "seed": seed, **{f"train.{key}": value for key, value in inputs.items()}}
    return Run(f"{accuracy}-{seed}", values, RunMetrics.model_validate(metrics), "no such commit")


def make_row(name: str, mean: float, low: float, high: float, size: float | None = None) -> Row:
    return Row(name, {}, [name], {"intent": Estimate(mean, Interval(low, high))}, size, None)


def test_seeds_of_one_setting_are_one_row_with_student_s_interval() -> None:
    """The quantile of Student's t for 97.5% with 2 degrees of freedom is 4.302653 (tables)."""
    runs = [make_run(0.8 + 0.01 * seed, seed, r=8) for seed in range(3)]
    comparison = settings_table.compare_settings([*runs, make_run(0.5, r=16)], None, "intent")
    assert comparison is not None
    best, other = comparison.rows
    assert (best.label, best.settings, len(best.runs)) == ("r=8", {"train.r": 8}, 3)
    interval = best.estimates["intent"].interval
    assert interval is not None
    assert interval.low == pytest.approx(0.81 - 4.302653 * 0.01 / 3**0.5, abs=1e-6)
    assert other.estimates["intent"].interval is None, "a single run without details has none"


def test_folds_have_the_corrected_interval() -> None:
    """Standard deviation 0.01, 3 folds, 500 test and 1,000 training records: √(1/3 + 1/2)."""
    runs = [make_run(0.8 + 0.01 * fold, r=8) for fold in range(3)]
    runs = [
        Run(run.name, {**run.inputs, "prepare.split.folds": 3, "prepare.split.fold": fold},
            run.metrics, run.revision)
        for fold, run in enumerate(runs)
    ]  # fmt: skip
    estimate = settings_table.estimate_metric(runs, "intent", "accuracy")
    assert estimate is not None and estimate.interval is not None
    margin = estimate.interval.high - estimate.mean
    assert margin == pytest.approx(4.302653 * 0.01 * (5 / 6) ** 0.5, abs=1e-6)


def test_the_best_is_by_the_metric_s_direction() -> None:
    runs = [make_run(0.8, r=8), make_run(0.9, r=16)]
    for suite in ("intent", "perplexity"):  # of perplexity, lower is better
        comparison = settings_table.compare_settings(runs, suite, "intent")
        assert comparison is not None and comparison.best.label == "r=16", suite
    with pytest.raises(UserError, match="SUITE: slots: not measured; the runs have intent"):
        settings_table.compare_settings(runs, "slots", "intent")
    assert settings_table.compare_settings([], None, "intent") is None


def test_settings_with_overlapping_intervals_are_not_shown_to_be_worse() -> None:
    rows = [
        make_row("small", 0.85, 0.82, 0.88, 10),
        make_row("best", 0.9, 0.87, 0.93, 30),
        make_row("tiny", 0.7, 0.6, 0.8, 1),
        make_row("medium", 0.89, 0.86, 0.92, 20),
    ]
    comparison = settings_table.decide(rows, {"intent": "accuracy"}, "intent")
    assert [row.label for row in comparison.rows] == ["best", "medium", "small", "tiny"]
    assert [row.label for row in comparison.equal] == ["medium", "small"]
    assert comparison.smallest is not None and comparison.smallest.label == "small"
    assert settings_table.describe_decision(comparison) == [
        "Best intent accuracy: 90.0% (95% interval 87.0% to 93.0%) by best.",
        "Not shown to be worse, since their intervals overlap: 2 other settings.",
        "Smallest that is not shown to be worse: small.",
    ]


def test_sizes_that_differ_by_some_bytes_are_equal() -> None:
    """The header of a file of weights is a little longer for one run than for another."""
    runs = [make_run(0.8, size=6_342_037, r=8), make_run(0.9, size=6_342_041, r=16)]
    comparison = settings_table.compare_settings(runs, None, "intent")
    assert comparison is not None and comparison.smallest is None
    assert [row.label for row in comparison.fronts["size"]] == ["r=16"]
    runs[1] = make_run(0.9, size=6_400_000, r=16)
    comparison = settings_table.compare_settings(runs, None, "intent")
    assert comparison is not None and len(comparison.fronts["size"]) == 2


def test_the_front_has_no_point_that_another_beats() -> None:
    """Quality and cost of five points; the last one has no known cost."""
    qualities, costs = [0.5, 0.7, 0.6, 0.7, 0.9], [1.0, 2.0, 3.0, 4.0, None]
    assert settings_table.find_front(qualities, costs) == [0, 1]
    assert settings_table.find_front([0.5, 0.6], [1.0, 1.0]) == [1], "equal costs: the better one"


def test_a_base_is_called_by_its_name() -> None:
    run = make_run(0.8)
    inputs = {**run.inputs, "base.source": "hub", "base.id": "Qwen/Qwen3-0.6B"}
    run = Run(run.name, inputs, run.metrics)
    settings = {"base.id": "Qwen/Qwen3-0.6B", "base.revision": "0" * 40, "train.adapter.r": 8}
    assert settings_table.describe_settings(settings, run) == "base=Qwen3-0.6B, r=8"


def test_the_seconds_of_a_resumed_training_are_not_those_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = {"base": {}, "merged": {}, "data": {"train": 1, "test": 1}}
    losses = {"loss": 1.0, "validation_loss": 1.0}
    run = Run("a", {}, RunMetrics.model_validate({**metrics, "train": losses}), WORKSPACE)
    timings = tmp_path / TRAIN_TIMINGS
    timings.parent.mkdir(parents=True)
    timings.write_text(json.dumps({"seconds": 20.5}))
    assert read_train_seconds(run) == 20.5
    timings.write_text(json.dumps({"seconds": 20.5, "resumed_from_step": 40}))
    assert read_train_seconds(run) is None
