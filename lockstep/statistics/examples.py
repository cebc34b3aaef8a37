"""Choose the test records that a reviewer should see: what tuning broke before what it fixed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import Prediction
from lockstep.statistics.stage_results import VariantPredictions

MARGIN = 0.1
"""Smallest difference in ROUGE-L that counts as closer to the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A test record with the answers of all variants."""

    id: str
    slices: dict[str, str]
    question: str
    reference: str
    predictions: dict[str, str]
    """Variant -> answer."""
    scores: dict[str, float]
    """Variant -> score of the answer, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A kind of change of an answer from base over merged to quantized."""

    title: str
    judgement: str
    """better, worse or same."""
    fits: Callable[[float, float, float], bool]
    """Whether the scores of base, merged and quantized are of this kind."""


EXACT = (
    Outcome(title="broken by tuning", judgement="worse", fits=lambda b, m, q: b > m),
    Outcome(title="broken by quantization", judgement="worse", fits=lambda b, m, q: m > q),
    Outcome(title="still wrong", judgement="same", fits=lambda b, m, q: not m),
    Outcome(title="fixed by tuning", judgement="better", fits=lambda b, m, q: m > b),
)
"""Outcomes of answers that are right (1) or wrong (0); the first that fits counts."""

GRADED = (
    Outcome(
        title="further from the reference", judgement="worse", fits=lambda b, m, q: m < b - MARGIN
    ),
    Outcome(
        title="further from the reference once quantized",
        judgement="worse",
        fits=lambda b, m, q: q < m - MARGIN,
    ),
    Outcome(
        title="no closer to the reference",
        judgement="same",
        fits=lambda b, m, q: m <= b + MARGIN and m < 1,
    ),
    Outcome(
        title="closer to the reference after tuning",
        judgement="better",
        fits=lambda b, m, q: m > b + MARGIN,
    ),
)
"""Outcomes of answers that have more or less in common with the reference."""


def compare_variants(predictions: VariantPredictions, suite: MeasuredSuite) -> list[Comparison]:
    """Return the suite's test records, each with the answers of all variants."""
    rows = zip(*predictions.values(), strict=True)
    return [
        _comparison(dict(zip(predictions, row, strict=True)), suite)
        for row in rows
        if row[0].task == suite.task and row[0].answer_form
    ]


def choose_examples(
    comparisons: Sequence[Comparison], number: int, suite: MeasuredSuite
) -> list[dict[str, Any]]:
    """Return up to `number` records for the report, outcomes in turn, in the order of their ids.

    Ids are content hashes, as good as a random draw: the examples are typical and not picked, and
    the same records come up again in the report of the next model.
    """
    outcomes = GRADED if is_graded(suite) else EXACT
    groups: list[list[tuple[Outcome, Comparison]]] = [[] for _ in outcomes]
    for record in sorted(comparisons, key=lambda record: record.id):
        scores = record.scores["base"], record.scores["merged"], record.scores["quantized"]
        for group, outcome in zip(groups, outcomes, strict=True):
            if outcome.fits(*scores):
                group.append((outcome, record))
                break
    in_turn = [item for turn in zip_longest(*groups) for item in turn if item][:number]
    return [
        {
            "id": record.id,
            "outcome": outcome.title,
            "judgement": outcome.judgement,
            "slices": record.slices,
            "question": record.question,
            "reference": record.reference,
            "predictions": record.predictions,
            "scores": record.scores,
        }
        for outcome, record in sorted(in_turn, key=lambda item: outcomes.index(item[0]))
    ]


def is_graded(suite: MeasuredSuite) -> bool:
    """Whether answers are closer to or further from the reference, not right or wrong."""
    return suite.form in ("text", "number", "written_number")


def _comparison(rows: dict[str, Prediction], suite: MeasuredSuite) -> Comparison:
    record = rows["merged"]
    return Comparison(
        id=record.id,
        slices=record.slices,
        question=record.question,
        reference=record.reference,
        predictions={variant: row.prediction for variant, row in rows.items()},
        scores={variant: suite.score(row) for variant, row in rows.items()},
    )
