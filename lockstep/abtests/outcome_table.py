"""Read the logs of an A/B test into one row per user."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from lockstep.abtests.abtest_plan import UNKNOWN_WITHOUT_REPORT, AbTestPlan, Measure, OutcomePlan
from lockstep.abtests.assignment import AbVariant
from lockstep.errors import UserError

REQUESTS, OUTCOMES = "requests.jsonl", "outcomes.jsonl"
"""Files of a log folder; rotated ones end in a further `.NUMBER`."""
SECONDS_PER_DAY = 86_400

AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "resolved": fmean,
    "satisfied": fmean,
    "converted": lambda values: float(any(values)),
    "revenue": math.fsum,
}
"""Value of a user from what was reported of the user, by outcome."""
READ_MEASURES: dict[Measure, Callable[[Mapping[str, Any]], float]] = {
    "latency": lambda request: float(request["seconds"]),
    "refused": lambda request: float(request["refused"]),
    "failed": lambda request: float(request["failed"]),
}
"""Value of a request, by measure."""


@dataclass(slots=True)
class User:
    """A user of the test."""

    variant: AbVariant
    first_seen: float
    """Time of the first request, in seconds since 1970."""
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    reports: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """(time, value) of what was reported, by outcome."""


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Users of a test that count, and those left out."""

    users: list[User]
    waiting: int
    """Users whose window has not ended."""
    switched: int
    """Users who saw both variants, which should not happen; they are left out."""
    unmatched: int
    """Reports of users or requests that are not in the log."""

    def count_users(self, variant: AbVariant) -> int:
        """Return the number of users of a variant."""
        return sum(user.variant == variant for user in self.users)

    def collect_outcome(self, plan: OutcomePlan, variant: AbVariant) -> list[float]:
        """Return the value of each user of a variant; users with an unknown one are left out."""
        values = []
        for user in self.users:
            reported = [value for _, value in user.reports.get(plan.outcome, ())]
            if user.variant == variant and (reported or plan.outcome not in UNKNOWN_WITHOUT_REPORT):
                value = AGGREGATES[plan.outcome](reported)
                values.append(value if plan.maximum is None else min(value, plan.maximum))
        return values

    def collect_measure(self, measure: Measure, variant: AbVariant) -> list[float]:
        """Return the mean over the requests of each user of a variant."""
        read = READ_MEASURES[measure]
        return [fmean(map(read, user.requests)) for user in self.users if user.variant == variant]


def read_table(folder: Path, plan: AbTestPlan) -> OutcomeTable:
    """Read the logs in a folder.

    Raise UserError if there is no log, or for a line that is not a JSON object with the keys that
    are read.
    """
    users: dict[str, User] = {}
    switched, names = set(), {}
    for request in read_log(folder, REQUESTS, ("time", "request_id", "user", "variant")):
        name = request["user"]
        names[request["request_id"]] = name
        user = users.setdefault(name, User(request["variant"], request["time"]))
        user.first_seen = min(user.first_seen, request["time"])
        user.requests.append(request)
        if user.variant != request["variant"]:
            switched.add(name)
    if not users:
        raise UserError(
            f"{folder}: no {REQUESTS} with requests; set the folder of the gateway's log"
        )
    unmatched = 0
    for report in read_log(folder, OUTCOMES, ("time", "outcome", "value")):
        user_name = report.get("user") or names.get(report.get("request_id", ""), "")
        if user_name in users:
            reports = users[user_name].reports.setdefault(report["outcome"], [])
            reports.append((report["time"], float(report["value"])))
        else:
            unmatched += 1
    return _select_users(users, switched, unmatched, plan)


def _select_users(
    users: Mapping[str, User], switched: set[str], unmatched: int, plan: AbTestPlan
) -> OutcomeTable:
    """Return the users whose window has ended, with what was reported within it."""
    end = max(request["time"] for user in users.values() for request in user.requests)
    window = math.inf if plan.window_days is None else plan.window_days * SECONDS_PER_DAY
    counted, waiting = [], 0
    for name, user in users.items():
        if name in switched:
            continue
        if plan.window_days is not None and user.first_seen + window > end:
            waiting += 1
            continue
        user.reports = {
            outcome: in_time
            for outcome, reports in user.reports.items()
            if (in_time := [item for item in reports if item[0] <= user.first_seen + window])
        }
        counted.append(user)
    return OutcomeTable(counted, waiting, len(switched), unmatched)


def read_log(folder: Path, name: str, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log and of its rotated files; blank lines are skipped."""
    for file in sorted(folder.glob(f"{name}*")):
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parse_line(line, f"{file}:{number}", keys)


def _parse_line(line: str, place: str, keys: Iterable[str]) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:
        raise UserError(f"{place}: not JSON; remove the line if the log was cut there") from None
    missing = [key for key in keys if not isinstance(values, dict) or key not in values]
    if missing:
        raise UserError(f"{place}: no {', '.join(missing)}; each line is an object with these keys")
    return dict(values)
