"""`make abtest` on logs: the plan, a decision, what is left out, and mistakes."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.abtests import abtest_results, outcome_table
from lockstep.abtests.abtest_plan import AbTestPlan, read_plan
from lockstep.abtests.abtest_results import Results
from lockstep.abtests.assignment import assign_variant

PLAN = """\
salt: winter
primary: {outcome: resolved, baseline: 0.6, minimum_effect: 0.1}
secondary:
  - {outcome: revenue, baseline: 10, minimum_effect: 2, standard_deviation: 8, maximum: 50}
guardrails:
  - {measure: latency, margin: 0.3}
  - {measure: refused, margin: 0.05}
users_per_day: 200
"""
DAY = 86_400.0


def simulate_requests(users: int, slower: float = 0.0, share: float = 0.5) -> Iterator[Any]:
    """Yield two requests of each user, a minute apart; users come one per minute."""
    rng = random.Random(3)
    for number in range(users):
        name = f"user{number}"
        variant = assign_variant(name, "winter", share)
        for turn in range(2):
            yield {
                "time": 60.0 * (number + turn), "request_id": f"{number}-{turn}", "user": name,
                "variant": variant, "failed": False, "refused": rng.random() < 0.1,
                "seconds": rng.expovariate(2) + slower * (variant == "b"),
            }  # fmt: skip


def simulate_outcomes(requests: list[Any], gain: float) -> Iterator[Any]:
    """Yield whether each user's case was resolved, by request id, and revenue, by user."""
    rng = random.Random(4)
    for request in requests[::2]:
        resolved = rng.random() < 0.6 + gain * (request["variant"] == "b")
        common = {"time": request["time"] + DAY}
        yield common | {
            "request_id": request["request_id"], "outcome": "resolved", "value": resolved
        }  # fmt: skip
        yield common | {
            "user": request["user"], "outcome": "revenue", "value": rng.expovariate(0.1)
        }  # fmt: skip


def write_log(folder: Path, requests: list[Any], outcomes: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, lines in ("requests.jsonl", requests), ("outcomes.jsonl", outcomes):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def make_plan(folder: Path, text: str = PLAN) -> AbTestPlan:
    (folder / "plan.yaml").write_text(text)
    return read_plan(folder / "plan.yaml")


def compute(folder: Path, gain: float, slower: float = 0.0, share: float = 0.5) -> Results:
    requests = [*simulate_requests(2000, slower, share)]
    log = write_log(folder / "log", requests, [*simulate_outcomes(requests, gain)])
    plan = make_plan(folder)
    return abtest_results.compute_results(outcome_table.read_table(log, plan), plan)


@pytest.mark.parametrize(
    ("gain", "decision"),
    [(0.12, "b is better"), (-0.12, "b is worse"), (0.0, "no relevant difference")],
)
def test_the_decision_follows_from_the_primary_outcome(
    tmp_path: Path, gain: float, decision: str
) -> None:
    assert compute(tmp_path, gain).decision == decision


def test_a_slow_variant_violates_a_guardrail(tmp_path: Path) -> None:
    results = compute(tmp_path, gain=0.12, slower=0.5)
    assert results.decision == "guardrail violated"
    assert results.guardrails[0][1].difference == pytest.approx(0.5, abs=0.1)
    assert abs(results.guardrails[1][1].difference) < 0.05


def test_lost_users_make_the_test_invalid(tmp_path: Path) -> None:
    assert compute(tmp_path, gain=0.12, share=0.42).decision == "invalid"


def test_the_users_needed_follow_from_the_measured_variance(tmp_path: Path) -> None:
    """At shares near 0.9 instead of the planned 0.6, the variance is about a third."""
    assert compute(tmp_path, gain=0.3).required_users < compute(tmp_path, gain=0.0).required_users


def test_a_window_leaves_new_users_and_late_reports_out(tmp_path: Path) -> None:
    requests = [*simulate_requests(2000)]
    log = write_log(tmp_path / "log", requests, [*simulate_outcomes(requests, 0.0)])
    plan = make_plan(tmp_path, PLAN + "window_days: 0.5\n")
    table = outcome_table.read_table(log, plan)
    assert (len(table.users), table.waiting) == (1281, 719)  # 720 minutes before the last request
    assert not table.collect_outcome(plan.primary, "a")  # all reports came after a day
    assert set(table.collect_outcome(plan.secondary[0], "a")) == {0.0}


def test_large_values_are_capped_and_outcomes_are_aggregated_per_user(tmp_path: Path) -> None:
    request = {"time": 1.0, "variant": "a", "seconds": 1.0, "refused": False, "failed": True}
    requests = [request | {"user": name, "request_id": name} for name in "xyz"]
    report = {"time": 2.0, "user": "x"}
    outcomes = [
        report | {"outcome": "resolved", "value": True},
        report | {"outcome": "resolved", "value": False},
        report | {"outcome": "revenue", "value": 30},
        report | {"outcome": "revenue", "value": 45},
        report | {"outcome": "revenue", "value": 1, "user": "nobody"},
    ]
    plan = make_plan(tmp_path)
    table = outcome_table.read_table(write_log(tmp_path / "log", requests, outcomes), plan)
    assert table.collect_outcome(plan.primary, "a") == [0.5]  # of y and z nothing is known
    assert table.collect_outcome(plan.secondary[0], "a") == [50.0, 0.0, 0.0]
    assert table.collect_measure("failed", "a") == [1.0, 1.0, 1.0]
    assert table.unmatched == 1


def test_users_are_assigned_alike_everywhere_and_in_the_planned_share() -> None:
    names = [f"user{number}" for number in range(20_000)]
    variants = [assign_variant(name, "winter", 0.3) for name in names]
    assert variants == [assign_variant(name, "winter", 0.3) for name in names]
    assert variants.count("b") / len(names) == pytest.approx(0.3, abs=0.01)
    moved = [assign_variant(name, "spring", 0.3) for name in names]
    both = sum(pair == ("b", "b") for pair in zip(variants, moved, strict=True))
    assert both / len(names) == pytest.approx(0.09, abs=0.01)  # independent of the other test


def run_command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lockstep.abtests", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_shows_plan_and_results(tmp_path: Path) -> None:
    make_plan(tmp_path)
    plan = run_command(tmp_path / "plan.yaml")
    assert plan.returncode == 0, plan.stderr
    assert "| resolved | 0.6 + 0.1 |" in plan.stdout
    requests = [*simulate_requests(2000)]
    log = write_log(tmp_path / "log", requests, [*simulate_outcomes(requests, 0.12)])
    shown = run_command(tmp_path / "plan.yaml", "--log", log)
    assert shown.stdout.startswith("b is better: ")
    values = json.loads(run_command(tmp_path / "plan.yaml", "--log", log, "--json").stdout)
    assert values["decision"] == "b is better"


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN.replace("share", "shares") + "power: 2\n")
    run = run_command(tmp_path / "plan.yaml")
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "power" in run.stderr
    make_plan(tmp_path)
    (tmp_path / "requests.jsonl").write_text('{"time": 1, "user": "x"}\n')
    run = run_command(tmp_path / "plan.yaml", "--log", tmp_path)
    assert run.returncode == 2
    assert run.stderr.rstrip().endswith(
        "requests.jsonl:1: no request_id, variant; each line is an object with these keys"
    )
