"""Compare calls with reference calls that accept several values of an argument.

This follows the checker of the Berkeley Function Calling Leaderboard (Patil et al., 2025): texts
are equal without regard to case, blanks and some punctuation, an integer stands for a float, and
calls may come in any order. The tests compare the results with those of its own code.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

Call = tuple[str, dict[str, Any]]
"""Name and arguments of a call."""

OMITTED = ""
"""Accepted value that stands for an argument that may be absent."""

ACCEPTED_ARGUMENTS = "accepted_arguments"
"""Key of the accepted values in a reference, beside `name`."""

_IGNORED = re.compile(r"[ ,./\-_*^]")
"""Characters of a text that do not count."""


class AcceptedCall(NamedTuple):
    """A call with the values that each of its arguments may have."""

    name: str
    arguments: dict[str, list[Any]]


class ArgumentCounts(NamedTuple):
    """Numbers of arguments of one answer."""

    correct: int
    reference: int
    predicted: int


def parse_reference(reference: str) -> list[AcceptedCall] | None:
    """Return the calls of a reference with accepted values; None if it is another reference."""
    if f'"{ACCEPTED_ARGUMENTS}"' not in reference:
        return None
    try:
        calls = json.loads(reference)
        return [AcceptedCall(call["name"], call[ACCEPTED_ARGUMENTS]) for call in calls]
    except (ValueError, TypeError, KeyError):
        return None


def match_calls(accepted: Sequence[AcceptedCall], calls: Sequence[Call]) -> bool:
    """Whether the calls can be paired with the accepted ones, each with one of its own."""
    if len(accepted) != len(calls):
        return False
    partners: dict[int, int] = {}

    def find_partner(number: int, tried: set[int]) -> bool:
        """Pair a call, and move the partners of others if needed (an augmenting path)."""
        for index, candidate in enumerate(accepted):
            if index not in tried and accepts_call(candidate, calls[number]):
                tried.add(index)
                if index not in partners or find_partner(partners[index], tried):
                    partners[index] = number
                    return True
        return False

    return all(find_partner(number, set()) for number in range(len(calls)))


def accepts_call(accepted: AcceptedCall, call: Call) -> bool:
    """Whether a call has the accepted name, and accepted arguments only."""
    name, arguments = call
    return name == accepted.name and _accepts_members(accepted.arguments, arguments)


def count_arguments(accepted: Sequence[AcceptedCall], calls: Sequence[Call]) -> ArgumentCounts:
    """Count the arguments of all calls; those that may be absent count only where they are given.

    Each accepted call is compared with the call of its name that fits best.
    """
    correct = expected = 0
    remaining = list(calls)
    for candidate in accepted:
        same_name = [call for call in remaining if call[0] == candidate.name]
        best = max(same_name, key=lambda call: _count_correct(candidate, call[1]), default=None)
        given = best[1] if best else {}
        if best:
            remaining.remove(best)
        correct += _count_correct(candidate, given)
        expected += sum(
            name in given or OMITTED not in values for name, values in candidate.arguments.items()
        )
    return ArgumentCounts(correct, expected, sum(len(arguments) for _, arguments in calls))


def _count_correct(accepted: AcceptedCall, arguments: dict[str, Any]) -> int:
    return sum(
        name in accepted.arguments and _accepts_any(accepted.arguments[name], value)
        for name, value in arguments.items()
    )


def _accepts_members(accepted: dict[str, Any], members: dict[str, Any]) -> bool:
    """Whether each member has an accepted value, and none that must be there is missing."""
    lists = {key: value if isinstance(value, list) else [value] for key, value in accepted.items()}
    return all(
        key in lists and _accepts_any(lists[key], value) for key, value in members.items()
    ) and all(key in members or OMITTED in values for key, values in lists.items())


def _accepts_any(accepted: Iterable[Any], value: Any) -> bool:
    return any(_accepts_value(candidate, value) for candidate in accepted)


def _accepts_value(accepted: Any, value: Any) -> bool:
    """Whether a value is accepted.

    The members of an accepted object are lists of accepted values; the items of a list are values.
    """
    if isinstance(accepted, dict):
        return isinstance(value, dict) and _accepts_members(accepted, value)
    if isinstance(accepted, list):
        return (
            isinstance(value, list)
            and len(accepted) == len(value)
            and all(map(_accepts_value, accepted, value))
        )
    return _equal(accepted, value)


def _equal(accepted: Any, value: Any) -> bool:
    """Whether two values are equal as the leaderboard compares them."""
    if isinstance(accepted, str) and isinstance(value, str):
        return _normalize(accepted) == _normalize(value)
    if isinstance(accepted, float) and type(value) is int:
        return accepted == value
    return type(accepted) is type(value) and bool(accepted == value)


def _normalize(text: str) -> str:
    return _IGNORED.sub("", text).lower().replace("'", '"')
