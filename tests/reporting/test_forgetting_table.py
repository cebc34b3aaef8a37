"""The report on continual learning: the table of forgetting, its concerns, and replay."""

from dataclasses import replace
from typing import Any

import pytest

from lockstep.reporting import forgetting_table
from lockstep.reporting.comparison_tables import TableCell
from lockstep.reporting.evaluation_results import EvaluationResults
from tests.reporting.results import make_results

FORGOTTEN = {
    "metric": "accuracy", "records": 50, "before": 0.9, "after": 0.7, "difference": -0.2,
    "interval": [-0.3, -0.1], "p": 0.001, "p_adjusted": 0.002, "detectable": 0.1,
}  # fmt: skip
LEARNT = {**FORGOTTEN, "records": 8, "before": 0.0, "after": 1.0, "difference": 1.0,
          "interval": [0.6, 1.0]}  # fmt: skip
AVERAGE = {"suites": 1, "forgetting": 0.2, "interval": [0.1, 0.3]}


def make(old: dict[str, Any], **changes: Any) -> EvaluationResults:
    values = {"old": {"intent": old}, "new": {"intent": LEARNT}, "average": AVERAGE, **changes}
    results = make_results((0.1, 0.9, 0.9))
    return replace(results, details={**results.details, "forgetting": values})


def test_old_and_new_records_are_groups_of_the_table() -> None:
    table = forgetting_table.build_forgetting_table(make(FORGOTTEN))
    assert [heading for heading, _ in table] == [
        "Test records of earlier rounds",
        "Test records of the last round",
    ]
    (_, [old]), (_, [new]) = table
    assert (old.title, old.records, new.records) == ("intent accuracy", 50, 8)
    assert old.cells == [
        TableCell(text="90.0%"),
        TableCell(text="70.0%"),
        TableCell(text="−20.0 points", small="−30.0 to −10.0 points; p 0.002"),
    ]
    results = make(FORGOTTEN, new={})
    assert len(forgetting_table.build_forgetting_table(results)) == 1


@pytest.mark.parametrize(
    ("changes", "concerns"),
    [
        ({}, 1),
        ({"p_adjusted": 0.2}, 0),
        ({"difference": 0.2, "interval": [0.1, 0.3]}, 0),
        ({"metric": "mean_absolute_error"}, 0),
        ({"metric": "mean_absolute_error", "difference": 0.2, "interval": [0.1, 0.3]}, 1),
    ],
)
def test_only_a_proven_loss_is_a_concern(changes: dict[str, Any], concerns: int) -> None:
    lines = list(forgetting_table.list_concerns(make({**FORGOTTEN, **changes})))
    assert len(lines) == concerns
    if not changes:
        assert lines == [
            "The model forgets: intent accuracy on test records of earlier rounds was 90.0% with "
            "the base and is 70.0% now."
        ]


def test_the_average_and_each_suite_are_findings() -> None:
    assert list(forgetting_table.describe_forgetting(make(FORGOTTEN))) == [
        "Forgetting on the test records of earlier rounds: +20.0 points, averaged over suites "
        "(1; 95% interval +10.0 to +30.0 points); below zero the model became better.",
        "Intent accuracy on 50 test records of earlier rounds: 90.0% with the base, 70.0% now "
        "(−30.0 to −10.0 points; p 0.002).",
        "Intent accuracy on 8 test records of the last round: 0.0% with the base, 100.0% now "
        "(+60.0 to +100.0 points; p 0.002).",
    ]


def test_without_rounds_nothing_is_shown() -> None:
    results = make_results((0.1, 0.9, 0.9))
    assert forgetting_table.build_forgetting_table(results) == []
    assert list(forgetting_table.describe_forgetting(results)) == []
    assert list(forgetting_table.list_concerns(results)) == []


def test_replay_is_counted_in_rows() -> None:
    counts = {"old": {"records": 3000, "rows": 100}, "new": {"records": 40, "rows": 300}}
    sentence = forgetting_table.describe_replay({"replay": {"share": 0.25, **counts}})
    assert sentence == (
        "Replay: 100 of 400 training rows (25.0%) come from earlier rounds, from 3,000 records; "
        "300 rows are of the last round."
    )
    assert forgetting_table.describe_replay({"children": 2}) is None
