"""Stratified samples of test records, and orders of their answers that reveal no variant."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from lockstep.errors import UserError
from lockstep.human.human_params import HumanParams
from lockstep.human.rating_items import Item
from lockstep.predictions import COMMON_SLICES, ZERO_SHOT, Prediction

Stratum = tuple[str, ...]
"""A combination of values of the slices that define the strata."""


def sample_records(predictions: Sequence[Prediction], settings: HumanParams) -> list[str]:
    """Return the ids of a stratified sample of each suite's records.

    `predictions` are those of one variant. A larger `records` keeps the smaller sample and adds
    to it. Raise UserError if a suite or slice does not exist, or if there are more strata than
    records to sample.
    """
    sampled: list[str] = []
    for suite in settings.suites or _find_text_suites(predictions):
        rows = [row for row in predictions if row.task == suite and row.answer_form]
        if not rows:
            known = ", ".join(sorted({row.task for row in predictions if row.answer_form}))
            raise UserError(f"params.yaml: human.suites: no suite {suite}; known: {known}")
        strata = _group_by_stratum(rows, settings)
        if settings.records < len(strata):
            raise UserError(
                f"params.yaml: human.records: {settings.records} records are too few for the "
                f"{len(strata)} strata of {suite}; raise it or name fewer slices in human.strata"
            )
        sizes = {stratum: len(ids) for stratum, ids in strata.items()}
        shares = apportion_records(sizes, settings.records)
        for stratum, ids in strata.items():
            ranked = sorted(ids, key=lambda record_id: _hash_rank(settings.seed, record_id))
            sampled += ranked[: shares[stratum]]
    return sampled


def apportion_records(sizes: Mapping[Stratum, int], number: int) -> dict[Stratum, int]:
    """Divide `number` records among the strata in proportion to their sizes, at least one each.

    This is the method of equal proportions by Huntington and Hill, which apportions the seats of
    the US House among the states (2 U.S.C. § 2a). No stratum gets more records than it has.
    """
    shares = dict.fromkeys(sorted(sizes), 1)
    for _ in range(min(number, sum(sizes.values())) - len(shares)):
        # the priority of a full stratum is below 1, that of some other stratum above
        largest = max(
            shares,
            key=lambda stratum: Fraction(
                sizes[stratum] ** 2, shares[stratum] * (shares[stratum] + 1)
            ),
        )
        shares[largest] += 1
    return shares


def order_items(items: Sequence[Item], seed: str) -> list[Item]:
    """Return the items in a random order that keeps the answers to one record apart.

    The first round has one random answer to each record, the second round another one, and so
    on. Two answers to one record are neighbours only if no other record is left between them.
    """
    shuffled = sorted(items, key=lambda item: _hash_rank(seed, item.code))
    remaining: Counter[str] = Counter()
    rounds = {}
    for item in shuffled:
        rounds[item.code] = remaining[item.record]
        remaining[item.record] += 1
    waiting = sorted(shuffled, key=lambda item: rounds[item.code])
    ordered: list[Item] = []
    while waiting:
        others = [item for item in waiting if not ordered or item.record != ordered[-1].record]
        # a record with more than half of the waiting items must come now to avoid neighbours later
        urgent = [item for item in others if remaining[item.record] > len(waiting) // 2]
        item = (urgent or others or waiting)[0]
        waiting.remove(item)
        remaining[item.record] -= 1
        ordered.append(item)
    return ordered


def _find_text_suites(predictions: Sequence[Prediction]) -> list[str]:
    """Return the suites with free-text answers, without the few-shot ones.

    Raise UserError if there are none.
    """
    suites = {
        row.task for row in predictions if row.answer_form == "text" and ZERO_SHOT not in row.slices
    }
    if not suites:
        raise UserError(
            "params.yaml: human.suites: no suite has free-text answers; name the suites to rate"
        )
    return sorted(suites)


def _group_by_stratum(
    rows: Sequence[Prediction], settings: HumanParams
) -> dict[Stratum, list[str]]:
    """Return the record ids of each stratum; a record without a slice has the value ""."""
    known = {name for row in rows for name in row.slices}
    for name in settings.strata:
        if name not in known:
            raise UserError(
                f"params.yaml: human.strata: {name} is no slice of {rows[0].task}; "
                f"known: {', '.join(sorted(known)) or 'none'}"
            )
    slices = settings.strata or _choose_slices(rows, settings.records)
    strata: dict[Stratum, list[str]] = defaultdict(list)
    for row in rows:
        strata[_get_stratum(row, slices)].append(row.id)
    return dict(sorted(strata.items()))


def _choose_slices(rows: Sequence[Prediction], number: int) -> list[str]:
    """Return the slices of the data, in alphabetical order, that leave the strata large enough.

    A slice is skipped if it would leave fewer than two sampled records per stratum on average.
    """
    slices: list[str] = []
    for name in sorted({name for row in rows for name in row.slices} - {*COMMON_SLICES}):
        strata = {_get_stratum(row, [*slices, name]) for row in rows}
        if len(strata) <= max(1, number // 2):
            slices.append(name)
    return slices


def _get_stratum(row: Prediction, slices: Sequence[str]) -> Stratum:
    return tuple(row.slices.get(name, "") for name in slices)


def _hash_rank(seed: int | str, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode()).hexdigest()
