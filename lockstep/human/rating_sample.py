"""A sample of the test records by strata, and an order in which no variant shows."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from lockstep.errors import UserError
from lockstep.human.rating_items import HumanParams, Item
from lockstep.predictions import Prediction


def sample(rows: Sequence[Prediction], chosen: HumanParams) -> list[str]:
    """Ids of the records that are drawn of each suite, out of one variant's predictions.

    A larger `records` draws the same ones and further ones. UserError where a suite or stratum is
    none of these predictions, or there are too few records for one of each stratum.
    """
    if not chosen.suites:
        raise UserError("params.yaml: human.suites: none; name those whose answers people read")
    tasks = {row.task for row in rows if row.answer_form}
    drawn: list[str] = []
    for task in chosen.suites:
        if task not in tasks:
            known = ", ".join(sorted(tasks))
            raise UserError(f"params.yaml: human.suites: {task} is no suite; known: {known}")
        part = [row for row in rows if row.task == task]
        strata = _strata(part, chosen.strata)
        if chosen.records < len(strata):
            raise UserError(
                f"params.yaml: human.records: {chosen.records} are too few for the {len(strata)} "
                f"strata of {task}; raise it or name fewer slices in human.strata"
            )
        seats = shares({key: len(own) for key, own in strata.items()}, chosen.records)
        for key, own in strata.items():
            drawn += sorted(own, key=lambda id: _rank(chosen.seed, id))[: seats[key]]
    return drawn


def shares(sizes: Mapping[tuple[str, ...], int], number: int) -> dict[tuple[str, ...], int]:
    """How many of `number` fall to each stratum: in proportion to its size, and at least one.

    By Huntington and Hill's method of equal proportions, as seats in the US House fall to states
    (2 U.S.C. § 2a). None gets more than it has: its claim is then below 1, another's above.
    """
    seats = dict.fromkeys(sorted(sizes), 1)
    for _ in range(min(number, sum(sizes.values())) - len(seats)):
        next_one = max(
            seats, key=lambda key: Fraction(sizes[key] ** 2, seats[key] * (seats[key] + 1))
        )
        seats[next_one] += 1
    return seats


def order(items: Sequence[Item], seed: str) -> list[Item]:
    """Every record once, then those with a second answer again, and so on, each round shuffled.

    Which of a record's answers comes first is chance. No two of them stand side by side as long
    as other records are left to stand between.
    """
    ranked = sorted(items, key=lambda item: _rank(seed, item.code))
    left: Counter[str] = Counter()
    rounds = {}
    for item in ranked:
        rounds[item.code] = left[item.record]
        left[item.record] += 1
    waiting = sorted(ranked, key=lambda item: rounds[item.code])
    ordered: list[Item] = []
    while waiting:
        fitting = [item for item in waiting if not ordered or item.record != ordered[-1].record]
        urgent = [item for item in fitting if left[item.record] > len(waiting) // 2]
        item = (urgent or fitting or waiting)[0]
        waiting.remove(item)
        left[item.record] -= 1
        ordered.append(item)
    return ordered


def _strata(rows: Sequence[Prediction], slices: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Ids of the records by their values of the slices; a record without one has the value ''."""
    known = {name for row in rows for name in row.slices}
    for name in slices:
        if name not in known:
            raise UserError(
                f"params.yaml: human.strata: {name} is no slice of {rows[0].task}; "
                f"known: {', '.join(sorted(known)) or 'none'}"
            )
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in rows:
        strata[tuple(row.slices.get(name, "") for name in slices)].append(row.id)
    return dict(sorted(strata.items()))


def _rank(seed: int | str, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode()).hexdigest()
