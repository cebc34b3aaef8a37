"""Drift in the data card is the Jensen-Shannon divergence of the splits from training."""

from collections.abc import Callable

import pytest
from scipy.spatial.distance import jensenshannon

from lockstep.data import data_card
from lockstep.records import Record


def test_drift_is_the_divergence_from_training(make_record: Callable[..., Record]) -> None:
    train = [make_record(f"q{n}", "a", task) for n, task in enumerate(("x", "x", "x", "y"))]
    same = [make_record(f"s{n}", "a", task) for n, task in enumerate(("x", "x", "x", "y"))]
    other = [make_record(f"t{n}", "a", task) for n, task in enumerate(("x", "y", "y", "y"))]
    splits = {
        name: data_card.compute_statistics(records)
        for name, records in (("train", train), ("validation", same), ("test", other))
    }
    drift = data_card.measure_drift(splits, ["task"])
    divergence = jensenshannon([0.75, 0.25], [0.25, 0.75], base=2) ** 2
    assert drift["task"] == {"validation": 0.0, "test": pytest.approx(divergence, abs=1e-4)}
    assert drift["strata"] == drift["task"]
