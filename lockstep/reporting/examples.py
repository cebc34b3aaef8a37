"""Which test records a reviewer should see: what tuning broke before what it fixed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from lockstep.reporting.stage_results import VARIANTS, Prediction

MARGIN = 0.1
"""Free text whose ROUGE-L is less than this higher is no closer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an answer on its way from base to quantized."""

    title: str
    judgement: str
    """better, worse or same."""
    fits: Callable[[float, float, float], bool]


EXACT = (
    Outcome(title="broken by tuning", judgement="worse", fits=lambda b, m, q: b > m),
    Outcome(title="broken by quantization", judgement="worse", fits=lambda b, m, q: m > q),
    Outcome(title="still wrong", judgement="same", fits=lambda b, m, q: not m),
    Outcome(title="fixed by tuning", judgement="better", fits=lambda b, m, q: m > b),
)
"""Where an answer is right (1) or wrong (0); the first that fits, gravest first."""

GRADED = (
    Outcome(title="further off", judgement="worse", fits=lambda b, m, q: m < b - MARGIN),
    Outcome(
        title="further off once quantized", judgement="worse", fits=lambda b, m, q: q < m - MARGIN
    ),
    Outcome(title="no closer", judgement="same", fits=lambda b, m, q: m <= b + MARGIN and m < 1),
    Outcome(title="closer after tuning", judgement="better", fits=lambda b, m, q: m > b + MARGIN),
)
"""Where an answer has more or less in common with the expected text."""


def choose(
    rows: Sequence[Prediction], number: int, graded: bool
) -> list[tuple[Outcome, Prediction]]:
    """Up to `number` records: each outcome in turn, in the order of their ids.

    `graded`: an answer is closer or further off, and not right or wrong.

    Ids are content hashes: as good as a random draw, so the examples are typical and not
    picked, and the same records come up again in the report of the next model.
    """
    outcomes = GRADED if graded else EXACT
    groups: list[list[tuple[Outcome, Prediction]]] = [[] for _ in outcomes]
    for row in sorted(rows, key=lambda row: row.id):
        scores = [row.scores[variant] for variant in VARIANTS]
        for group, outcome in zip(groups, outcomes, strict=True):
            if outcome.fits(*scores):
                group.append((outcome, row))
                break
    taken = [item for turn in zip_longest(*groups) for item in turn if item][:number]
    return sorted(taken, key=lambda item: outcomes.index(item[0]))
