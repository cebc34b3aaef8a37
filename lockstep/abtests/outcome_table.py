"""Read the logs of an A/B test into one row per user."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from lockstep.errors import UserError
from lockstep.serving.abtest_plan import UNKNOWN_WITHOUT_REPORT, AbTestPlan, Measure, OutcomePlan
from lockstep.serving.abtest_routing import AbVariant
from lockstep.serving.logs.log_files import OUTCOMES, REQUESTS, may_lack_lines, read_log

SECONDS_PER_DAY = 86_400

AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "resolved": fmean,
    "satisfied": fmean,
    "converted": partial(max, default=0.0),
    "revenue": math.fsum,
}
"""Value of a user from what was reported of the user, by outcome."""


@dataclass(frozen=True, slots=True)
class TimedValue:
    """A value of a user, such as the seconds of a request or a reported outcome."""

    time: float
    """Seconds since 1970."""
    value: float


@dataclass(slots=True)
class User:
    """A user of the test."""

    variant: AbVariant
    first_seen: float
    """Time of the first request, in seconds since 1970."""
    values: dict[str, list[TimedValue]] = field(default_factory=dict)
    """Values by measure or outcome."""

    def add(self, name: str, time: float, value: float) -> None:
        """Add a value of a measure or an outcome."""
        self.values.setdefault(name, []).append(TimedValue(time, value))

    def keep_window(self, end: float) -> None:
        """Drop values from before the first request and after the end of the window."""
        self.values = {
            name: inside
            for name, values in self.values.items()
            if (inside := [item for item in values if self.first_seen <= item.time <= end])
        }

    def list_values(self, name: str) -> list[float]:
        """Return the values of a measure or an outcome."""
        return [item.value for item in self.values.get(name, ())]


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Users of a test that count, and those left out."""

    users: list[User]
    assigned: tuple[int, int]
    """Users assigned to variants a and b, among them those that are left out."""
    end: float
    """Time up to which the log is complete, in seconds since 1970."""
    waiting: int
    """Users whose window has not ended."""
    switched: int
    """Users who saw both variants, which should not happen; they are left out."""
    unmatched: int
    """Reports of users or requests that are not in the test."""
    shortened_logs: list[str]
    """Logs whose lines from the beginning of the test may have been deleted."""

    def collect_outcome(self, plan: OutcomePlan, variant: AbVariant) -> list[float]:
        """Return the value of each user of a variant; users with an unknown one are left out."""
        values = []
        for user in self.users:
            reported = user.list_values(plan.outcome)
            if user.variant == variant and (reported or plan.outcome not in UNKNOWN_WITHOUT_REPORT):
                value = AGGREGATES[plan.outcome](reported)
                values.append(value if plan.maximum is None else min(value, plan.maximum))
        return values

    def collect_measure(self, measure: Measure, variant: AbVariant) -> list[float]:
        """Return the mean over the requests of each user of a variant who has any to measure."""
        return [
            fmean(values)
            for user in self.users
            if user.variant == variant and (values := user.list_values(measure))
        ]


def read_table(folder: Path, plan: AbTestPlan, end: float | None = None) -> OutcomeTable:
    """Read the logs in a folder, which are complete up to a time in seconds since 1970.

    None stands for the last line of the logs: later outcomes may be missing in a copy. Raise
    UserError if the log has no requests of a test, or a line lacks a key that is read.
    """
    users: dict[str, User] = {}
    switched, names, tests, last = set(), {}, set(), -math.inf
    oldest = {REQUESTS: math.inf, OUTCOMES: math.inf}
    for request in read_log(folder, REQUESTS):
        time = _read_number(request, "time", folder / REQUESTS)
        last = max(last, time)
        oldest[REQUESTS] = min(oldest[REQUESTS], time)
        tests.add(request.get("abtest"))
        if request.get("abtest") != plan.name:
            continue
        name, request_id, variant = _read_keys(
            request, ("user", "request_id", "variant"), folder / REQUESTS
        )
        names[request_id] = name
        user = users.setdefault(name, User("b" if variant == "b" else "a", time))
        user.first_seen = min(user.first_seen, time)
        _add_measures(user, time, request, folder / REQUESTS)
        if user.variant != variant:
            switched.add(name)
    if not users:
        others = ", ".join(sorted(test for test in tests if test))
        remedy = "; set serving.abtest, and send the parameter `user`"
        if others:
            remedy = f", but of {others}; give the plan of one of these"
        raise UserError(f"{folder / REQUESTS}: no requests of the A/B test {plan.name}{remedy}")
    unmatched = 0
    for report in read_log(folder, OUTCOMES):
        time = _read_number(report, "time", folder / OUTCOMES)
        last = max(last, time)
        oldest[OUTCOMES] = min(oldest[OUTCOMES], time)
        user_name = report.get("user") or names.get(report.get("request_id", ""), "")
        if user_name in users:
            value = _read_number(report, "value", folder / OUTCOMES)
            (outcome,) = _read_keys(report, ("outcome",), folder / OUTCOMES)
            users[user_name].add(outcome, time, value)
        else:
            unmatched += 1
    begin = min(user.first_seen for user in users.values())
    shortened = [name for name in oldest if oldest[name] >= begin and may_lack_lines(folder, name)]
    return _select_users(users, switched, unmatched, shortened, plan, last if end is None else end)


def _add_measures(user: User, time: float, request: Mapping[str, Any], file: Path) -> None:
    """Add the measures of a request: latency and refusals of answers, failures of all requests."""
    user.add("failed", time, float(request.get("failed", False)))
    if not request.get("error"):
        user.add("latency", time, _read_number(request, "seconds", file))
        user.add("refused", time, float(request.get("refused", False)))


def _select_users(
    users: Mapping[str, User],
    switched: set[str],
    unmatched: int,
    shortened_logs: list[str],
    plan: AbTestPlan,
    end: float,
) -> OutcomeTable:
    """Return the users whose window has ended, with the values within it."""
    counted, waiting = [], 0
    for name, user in users.items():
        window_end = user.first_seen + plan.window_days * SECONDS_PER_DAY
        if name in switched:
            continue
        if window_end > end:
            waiting += 1
            continue
        user.keep_window(window_end)
        counted.append(user)
    in_b = sum(user.variant == "b" for user in users.values())
    return OutcomeTable(
        users=counted,
        assigned=(len(users) - in_b, in_b),
        end=end,
        waiting=waiting,
        switched=len(switched),
        unmatched=unmatched,
        shortened_logs=shortened_logs,
    )


def _read_keys(line: Mapping[str, Any], keys: Iterable[str], file: Path) -> list[str]:
    missing = [key for key in keys if not isinstance(line.get(key), str)]
    if missing:
        raise UserError(f"{file}: a line has no {' and no '.join(missing)}; is it the gateway's?")
    return [line[key] for key in keys]


def _read_number(line: Mapping[str, Any], key: str, file: Path) -> float:
    value = line.get(key)
    if not isinstance(value, (int, float)):
        raise UserError(f"{file}: the {key} of a line is no number; is it the gateway's?")
    return float(value)
