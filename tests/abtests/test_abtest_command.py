"""`make abtest` on logs: the plan, a decision, what is left out, and mistakes."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockstep.abtests import abtest_results, abtest_text, outcome_table
from lockstep.abtests.__main__ import main
from lockstep.abtests.abtest_results import Results
from lockstep.abtests.outcome_table import OutcomeTable
from lockstep.errors import UserError
from lockstep.serving.abtest_plan import AbTestPlan, OutcomePlan, read_plan
from lockstep.serving.abtest_routing import assign_variant

PLAN = """\
name: winter
window_days: 2
primary: {outcome: resolved, baseline: 0.6, minimum_effect: 0.1}
secondary:
  - {outcome: revenue, baseline: 10, minimum_effect: 2, standard_deviation: 8, maximum: 50}
guardrails:
  - {measure: latency, margin: 0.3}
  - {measure: refused, margin: 0.05}
users_per_day: 200
"""
DAY, END = 86_400.0, 60.0 * 2000 + 3 * 86_400.0


def simulate_requests(users: int, slower: float = 0.0, share: float = 0.5) -> Iterator[Any]:
    """Yield two requests of each user, a minute apart; users come one per minute."""
    rng = random.Random(3)
    for number in range(users):
        name = f"user{number}"
        variant = assign_variant(name, "winter", share)
        for turn in range(2):
            yield {
                "time": 60.0 * (number + turn), "request_id": f"{number}-{turn}", "user": name,
                "abtest": "winter", "variant": variant, "failed": False,
                "refused": rng.random() < 0.1,
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
    return abtest_results.compute_results(outcome_table.read_table(log, plan, END), plan)


def read_table_of_decision(folder: Path) -> OutcomeTable:
    """Return a table in which variant b is better."""
    requests = [*simulate_requests(2000)]
    log = write_log(folder / "log", requests, [*simulate_outcomes(requests, 0.12)])
    return outcome_table.read_table(log, make_plan(folder), END)


def test_secondary_outcomes_and_guardrails_are_corrected_for_their_number(tmp_path: Path) -> None:
    table = read_table_of_decision(tmp_path)
    extra = "  - {outcome: converted, baseline: 0.3, minimum_effect: 0.1}\nguardrails"
    plan = make_plan(tmp_path, PLAN.replace("guardrails", extra))
    results = abtest_results.compute_results(table, plan)
    revenue = tuple(table.collect_outcome(plan.secondary[0], variant) for variant in ("a", "b"))
    latency = tuple(table.collect_measure("latency", variant) for variant in ("a", "b"))
    corrected = abtest_results.compare("revenue", revenue, 2, 0.8, level=0.025)
    assert results.outcomes[1].interval == corrected.interval
    assert results.outcomes[1].p == pytest.approx(min(1, 2 * corrected.p))
    corrected = abtest_results.compare("latency", latency, 0.3, 0.8, level=0.025)
    assert results.guardrails[0][1].interval == corrected.interval
    plain = abtest_results.compare("latency", latency, 0.3, 0.8).interval
    assert plain and corrected.interval and plain.high < corrected.interval.high


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


def make_request(user: str, day: float, **values: Any) -> dict[str, Any]:
    """Return a line of a request of variant a at the end of a day."""
    common = {"time": day * DAY, "user": user, "abtest": "winter", "seconds": 1.0}
    return common | {"variant": "a", "request_id": f"{user} {day}"} | values


def make_report(user: str, day: float, outcome: str, value: float) -> dict[str, Any]:
    return {"time": day * DAY, "user": user, "outcome": outcome, "value": value}


def read(
    folder: Path, requests: list[Any], outcomes: list[Any], end: float | None = None
) -> OutcomeTable:
    plan, log = make_plan(folder), write_log(folder / "log", requests, outcomes)
    return outcome_table.read_table(log, plan, None if end is None else end * DAY)


def collect(table: OutcomeTable, folder: Path) -> tuple[list[float], list[float]]:
    """Return resolved and revenue of variant a."""
    plan = make_plan(folder)
    return (
        table.collect_outcome(plan.primary, "a"),
        table.collect_outcome(plan.secondary[0], "a"),
    )


def test_outcomes_are_aggregated_per_user_and_large_ones_count_as_the_maximum(
    tmp_path: Path,
) -> None:
    outcomes = [
        make_report("x", 2, "resolved", True),
        make_report("x", 2, "resolved", False),
        make_report("x", 2, "revenue", 30),
        make_report("x", 2, "revenue", 45),
        make_report("x", 2, "converted", 0),
        make_report("x", 2, "converted", 0.4),
        make_report("nobody", 2, "revenue", 1),
    ]
    table = read(tmp_path, [make_request(name, 1) for name in "xyz"], outcomes, end=9)
    assert collect(table, tmp_path) == ([0.5], [50, 0, 0])  # of y and z nothing is known
    converted = OutcomePlan(outcome="converted", baseline=0.1, minimum_effect=0.1)
    assert table.collect_outcome(converted, "a") == [0.4, 0, 0]
    assert table.unmatched == 1


def test_only_what_happens_in_the_window_of_a_user_counts(tmp_path: Path) -> None:
    """So that the values of a user do not change between two looks, once they count."""
    requests = [
        make_request("x", 1), make_request("x", 2, seconds=3.0), make_request("x", 3.1, seconds=9.0)
    ]  # fmt: skip
    outcomes = [
        make_report("x", day, "revenue", value) for day, value in ((0.9, 1), (1.1, 2), (3.1, 4))
    ]
    table = read(tmp_path, requests, outcomes)
    assert collect(table, tmp_path)[1] == [2]
    assert table.collect_measure("latency", "a") == [2.0]


@pytest.mark.parametrize(("end", "counted"), [(None, 1), (3.5, 1), (4, 2)])
def test_users_count_when_the_log_is_complete_up_to_the_end_of_their_window(
    tmp_path: Path, end: float | None, counted: int
) -> None:
    """The log ends with its last line, here an outcome, unless another end is given."""
    requests = [make_request("x", 1), make_request("y", 2)]
    table = read(tmp_path, requests, [make_report("y", 3, "converted", 1)], end)
    assert (len(table.users), table.waiting) == (counted, 2 - counted)
    assert table.assigned == (2, 0)


def test_the_end_of_the_log_is_also_seen_in_requests_outside_the_test(tmp_path: Path) -> None:
    other = {"time": 3 * DAY, "request_id": "r"}
    assert len(read(tmp_path, [make_request("x", 1), other], []).users) == 1
    assert not read(tmp_path, [make_request("x", 1)], []).users


def test_a_log_may_have_the_requests_of_several_tests(tmp_path: Path) -> None:
    requests = [make_request("x", 1, abtest="spring", variant="b"), make_request("x", 2)]
    table = read(tmp_path, requests, [], end=9)
    assert (len(table.users), table.switched, table.assigned) == (1, 0, (1, 0))
    assert table.users[0].first_seen == 2 * DAY


def test_latency_and_refusals_are_those_of_answers(tmp_path: Path) -> None:
    requests = [
        make_request("x", 1, refused=True),
        make_request("x", 1, seconds=0.01, error="engine_unavailable", failed=True),
        make_request("y", 1, seconds=0.01, error="timeout", failed=True),
    ]
    table = read(tmp_path, requests, [], end=9)
    assert table.collect_measure("latency", "a") == [1.0]
    assert table.collect_measure("refused", "a") == [1.0]
    assert table.collect_measure("failed", "a") == [0.5, 1.0]


def test_users_of_both_variants_are_left_out_and_still_assigned(tmp_path: Path) -> None:
    requests = [make_request("x", 1), make_request("x", 2, variant="b"), make_request("y", 1)]
    table = read(tmp_path, requests, [], end=9)
    assert (len(table.users), table.switched, table.assigned) == (1, 1, (2, 0))


@pytest.mark.parametrize("name", ["requests.jsonl", "outcomes.jsonl"])
def test_a_log_whose_oldest_lines_may_be_deleted_is_noted(tmp_path: Path, name: str) -> None:
    plan, requests = make_plan(tmp_path), [*simulate_requests(300)]
    outcomes = [*simulate_outcomes(requests, 0)]
    write_log(tmp_path, requests, outcomes)

    def list_notes() -> list[str]:
        table = outcome_table.read_table(tmp_path, plan)
        results = abtest_results.compute_results(table, plan)
        return re.findall("note: (.*) is full", abtest_text.format_results(results, table, plan))

    assert list_notes() == []
    oldest = tmp_path / f"{name}.7"
    oldest.touch()
    assert list_notes() == [name]
    line = {"time": -1, "request_id": "x", "user": "x", "outcome": "resolved", "value": 1}
    oldest.write_text(json.dumps(line) + "\n")  # it is from before the test
    assert list_notes() == []


def test_a_log_without_a_test_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no requests of the A/B test winter; set serving.abtest"):
        read(tmp_path, [{"time": 1.0, "request_id": "r"}], [])
    with pytest.raises(UserError, match=r"test winter, but of spring; give the plan of one"):
        read(tmp_path, [make_request("x", 1, abtest="spring")], [])
    with pytest.raises(UserError, match=r"outcomes.jsonl: the value of a line is no number"):
        read(tmp_path, [make_request("x", 1)], [make_report("x", 1, "resolved", None)])  # type: ignore[arg-type]


def test_a_difference_in_who_reports_is_noted(tmp_path: Path) -> None:
    """Of variant b, only users whose case was resolved report: the mean of b is too high."""
    requests = [*simulate_requests(1000)]
    variants = {request["request_id"]: request["variant"] for request in requests}
    outcomes = [
        line
        for line in simulate_outcomes(requests, 0.0)
        if line["outcome"] == "resolved" and (line["value"] or variants[line["request_id"]] == "a")
    ]
    table, plan = read(tmp_path, requests, outcomes, END / DAY), make_plan(tmp_path)
    text = abtest_text.format_results(abtest_results.compute_results(table, plan), table, plan)
    assert "note: the variants differ in the share of users with resolved" in text
    requests = requests[: len(requests) // 2]  # complete reports
    table = read(tmp_path, requests, [*simulate_outcomes(requests, 0.0)], END / DAY)
    text = abtest_text.format_results(abtest_results.compute_results(table, plan), table, plan)
    assert "differ in the share" not in text


def compare_shares(users: int, in_b: float) -> abtest_results.Comparison:
    """Compare variants in which no request of a failed, and all or none of b."""
    values = [0.0] * users, [in_b] * users
    return abtest_results.compare("failed", values, effect=0.05, power=0.8)


def test_a_measure_without_a_failure_has_an_interval_that_shrinks() -> None:
    """The rule of three: without an event in n users, a share up to 3 / n is possible."""
    few, many = compare_shares(150, 0.0).interval, compare_shares(3000, 0.0).interval
    assert few and many
    assert few.high > 3 / 150 and 3 / 3000 < many.high < 0.01
    different = compare_shares(150, 1.0)
    assert different.p < 0.001 and different.difference == 1
    assert abtest_results.compare("latency", ([1.0] * 150, [1.0] * 150), 1.0, 0.8).interval is None


def test_guardrails_decide_whether_a_better_variant_is_accepted(tmp_path: Path) -> None:
    table = read_table_of_decision(tmp_path)
    plan = make_plan(tmp_path, PLAN.replace("0.05", "0.0001"))
    results = abtest_results.compute_results(table, plan)
    assert results.decision == "b is better, guardrails open"


def run_command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lockstep.abtests", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def show(*arguments: str | Path) -> str:
    """Return the output of the command in this process."""
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_shows_plan_and_results(tmp_path: Path) -> None:
    make_plan(tmp_path)
    plan = show(tmp_path / "plan.yaml")
    row = [cell.strip() for cell in plan.splitlines()[2].split("|")]
    assert row[1:3] == ["resolved", "0.6 + 0.1"]
    users = int(row[4].replace(",", ""))
    assert float(row[5]) == pytest.approx(users / 200 + 2, abs=0.1)  # with the window of the last
    requests = [*simulate_requests(2000)]
    log = write_log(tmp_path / "log", requests, [*simulate_outcomes(requests, 0.12)])
    arguments = tmp_path / "plan.yaml", "--log", log, "--end", "1970-01-05"
    run = run_command(*arguments)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("b is better: ")
    assert "end of the log: 1970-01-05 00:00 UTC" in run.stdout
    assert json.loads(show(*arguments, "--json"))["decision"] == "b is better"
    early = show(*arguments[:3])  # the last report came 1.4 days after the first request
    assert "1,440 users whose window has not ended do not count yet" in early
    earlier = show(*arguments[:3], "--end", "1970-01-02")  # no window has ended
    assert re.search(r"resolved +\| +- +\| +- +\| +- +\|", earlier) and "nan" not in earlier
    assert re.search(r"to b \([0-9.]+%, planned 50.0%, p = ", earlier)


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN.replace("secondary", "secondry") + "power: 2\n")
    run = run_command(tmp_path / "plan.yaml")
    assert run.returncode == 2 and run.stderr.count("\n") == 2
    assert run_command().stderr == "error: Missing argument 'PLAN'; see --help\n"
    assert f"{tmp_path}: no such file; give the plan" in run_command(tmp_path).stderr
    assert "secondry: unknown key; did you mean secondary?" in run.stderr
    assert "power: input should be less than 1" in run.stderr
    make_plan(tmp_path)
    (tmp_path / "requests.jsonl").write_text('{"time": 1, "user": "x", "abtest": "winter"}\n')
    run = run_command(tmp_path / "plan.yaml", "--log", tmp_path)
    assert run.returncode == 2
    assert run.stderr.rstrip().endswith(
        "requests.jsonl: a line has no request_id and no variant; is it the gateway's?"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("window_days: 2\n", "", "window_days: missing"),
        ("window_days: 2\n", "window_days: 2\nshare: 1.0\n", "share: input should be less than 1"),
        ("outcome: revenue", "outcome: resolved", "outcome or a measure is named twice"),
        ("standard_deviation: 8, ", "", "standard_deviation: set it"),
        ("maximum: 50", "report_rate: 0.5", "report_rate: revenue is zero without a report"),
    ],
)
def test_plans_that_cannot_work_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_plan(tmp_path, PLAN.replace(old, new))
