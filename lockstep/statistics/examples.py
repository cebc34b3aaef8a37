"""Choose the test records that the report shows: broken answers before fixed ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import Prediction
from lockstep.statistics.stage_results import VariantPredictions

MARGIN = 0.1
"""Minimum difference between two scores, such as ROUGE-L, that counts as closer or further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRecord:
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
    """Judgement of the change: better, worse or same."""
    matches: Callable[[float, float, float], bool]
    """Whether the scores of base, merged and quantized are of this kind."""


EXACT = (
    Outcome(title="broken by tuning", judgement="worse", matches=lambda b, m, q: b > m),
    Outcome(title="broken by quantization", judgement="worse", matches=lambda b, m, q: m > q),
    Outcome(title="still wrong", judgement="same", matches=lambda b, m, q: not m),
    Outcome(title="fixed by tuning", judgement="better", matches=lambda b, m, q: m > b),
)
"""Outcomes of answers that are right (score 1) or wrong (0); the first that matches counts."""

GRADED = (
    Outcome(
        title="further from the reference",
        judgement="worse",
        matches=lambda b, m, q: m < b - MARGIN,
    ),
    Outcome(
        title="further from the reference once quantized",
        judgement="worse",
        matches=lambda b, m, q: q < m - MARGIN,
    ),
    Outcome(
        title="no closer to the reference",
        judgement="same",
        matches=lambda b, m, q: m <= b + MARGIN and m < 1,
    ),
    Outcome(
        title="closer to the reference after tuning",
        judgement="better",
        matches=lambda b, m, q: m > b + MARGIN,
    ),
)
"""Outcomes of answers that are closer to the reference or further from it (0 to 1)."""


def compare_variants(predictions: VariantPredictions, suite: MeasuredSuite) -> list[ComparedRecord]:
    """Return the suite's test records, each with the answers of all variants."""
    rows = zip(*predictions.values(), strict=True)
    return [
        _compare_record(dict(zip(predictions, row, strict=True)), suite)
        for row in rows
        if row[0].task == suite.task and row[0].answer_form
    ]


def choose_examples(
    comparisons: Sequence[ComparedRecord], number: int, suite: MeasuredSuite
) -> list[dict[str, Any]]:
    """Return up to `number` records for the report, taking each outcome in turn.

    Records are taken in the order of their ids. Ids are content hashes, so this is as good as a
    random draw, and the same records appear again in the report of the next model.
    """
    outcomes = GRADED if is_graded(suite) else EXACT
    groups: list[list[tuple[Outcome, ComparedRecord]]] = [[] for _ in outcomes]
    for record in sorted(comparisons, key=lambda record: record.id):
        scores = record.scores["base"], record.scores["merged"], record.scores["quantized"]
        for group, outcome in zip(groups, outcomes, strict=True):
            if outcome.matches(*scores):
                group.append((outcome, record))
                break
    in_turn = [item for turn in zip_longest(*groups) for item in turn if item]
    shown = in_turn[:number]
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
        for outcome, record in sorted(shown, key=lambda item: outcomes.index(item[0]))
    ]


def is_graded(suite: MeasuredSuite) -> bool:
    """Whether answers are closer to or further from the reference, not right or wrong."""
    return suite.form in ("text", "number", "written_number")


def _compare_record(rows: dict[str, Prediction], suite: MeasuredSuite) -> ComparedRecord:
    record = rows["merged"]
    return ComparedRecord(
        id=record.id,
        slices=record.slices,
        question=record.question,
        reference=record.reference,
        predictions={variant: row.prediction for variant, row in rows.items()},
        scores={variant: suite.score(row) for variant, row in rows.items()},
    )
