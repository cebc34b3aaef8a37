"""Advice on epochs, rate, size and length fires where the log and the splits show a limit."""

import random
from typing import Any

import pytest

from tests.reporting.advice.runs import advise, list_rules


def make_gap(train: tuple[float, float], gap: tuple[float, float], base: Any = None) -> Any:
    """Return the gap of intent's accuracy from the intervals of training records and of the gap."""
    middle = sum(train) / 2
    values = {
        "train": {"records": 300, "metric": middle, "interval": [*train]},
        "validation": {"records": 300, "metric": middle - sum(gap) / 2, "interval": [*train]},
        "gap": sum(gap) / 2,
        "gap_interval": [*gap],
    }
    return {"base": {}, "merged": {"intent": {"accuracy": values}}}


def test_a_run_without_a_fault_has_no_advice() -> None:
    assert advise() == []


def test_a_rising_validation_loss_asks_for_fewer_epochs() -> None:
    log = [(100, 0.5, 0.40), (200, 0.3, 0.50), (300, 0.1, 0.70)]
    [item] = advise(log=log)
    assert item.rule == "validation_loss_rises"
    assert "at step 100 (0.400) and ended at 0.700" in item.finding.en
    assert "train.epochs to about 1 (now 3)" in item.action.en
    assert "0.400" in item.finding.zh
    assert "train.epochs 降到约 1" in item.action.zh


def test_a_rise_within_five_percent_is_noise() -> None:
    assert list_rules(log=[(100, 0.5, 0.400), (200, 0.3, 0.41), (300, 0.2, 0.419)]) == []


def test_a_falling_validation_loss_asks_for_more_epochs() -> None:
    [item] = advise(log=[(100, 0.5, 0.60), (200, 0.4, 0.50), (300, 0.3, 0.40)])
    assert item.rule == "validation_loss_still_falls"
    assert "train.epochs: 6" in item.action.en
    assert list_rules(log=[(100, 0.5, 0.41), (200, 0.4, 0.40)]) == []


@pytest.mark.parametrize(
    ("last", "rules"),
    [(2.0, ["training_loss_rises"]), (0.5, ["training_loss_still_falls"]), (1.0, [])],
)
def test_the_trend_of_the_training_loss_is_compared_with_its_noise(
    last: float, rules: list[str]
) -> None:
    generator = random.Random(1)
    losses = [1.0] * 40 + [last] * 10
    log = [(n, loss + generator.gauss(0, 0.1), None) for n, loss in enumerate(losses)]
    assert list_rules(log=log) == rules
    noisy = [(n, loss + generator.gauss(0, 5), None) for n, loss in enumerate(losses)]
    assert list_rules(log=noisy) == []


def test_errors_on_training_records_ask_for_size_and_not_for_data() -> None:
    [item] = advise(split_gaps=make_gap((0.6, 0.7), (-0.05, 0.05)))
    assert item.rule == "misfits_training_data"
    assert "train.adapter.r" in item.action.en
    [full] = advise(split_gaps=make_gap((0.6, 0.7), (-0.05, 0.05)), train={"strategy": "full"})
    assert "train.adapter.r" not in full.action.en
    assert list_rules(split_gaps=make_gap((0.6, 0.95), (-0.05, 0.05))) == []


def test_a_proven_gap_asks_for_data_and_regularization() -> None:
    gap = make_gap((0.96, 1.0), (0.1, 0.2))
    values = gap["merged"]["intent"]["accuracy"]
    test = {"records": 300, "metric": 0.5, "interval": [0.4, 0.6]}
    gap["merged"]["intent"]["accuracy"] = {"test": test, **values}  # details.json sorts its keys
    [item] = advise(split_gaps=gap)
    assert item.rule == "gap_to_validation"
    assert "98.0% on training records, 83.0% on validation records" in item.finding.en
    assert "训练数据 98.0%，验证数据 83.0%" in item.finding.zh
    assert list_rules(split_gaps=make_gap((0.95, 1.0), (-0.01, 0.2))) == []


def test_many_truncated_rows_ask_for_a_longer_maximum() -> None:
    [item] = advise(trained={"rows_truncated": 70})
    assert item.rule == "rows_truncated"
    assert "train.max_length (now 256 tokens)" in item.action.en
    assert list_rules(trained={"rows_truncated": 30}) == []
