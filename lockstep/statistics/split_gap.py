"""How much better a model does on records that it learnt from than on those held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.metrics.aggregation import Metric
from lockstep.metrics.registry import LIKELIHOOD
from lockstep.metrics.suites import Suite
from lockstep.predictions import SPLIT, Prediction
from lockstep.statistics import confidence_intervals, paired_tests
from lockstep.statistics.confidence_intervals import Interval

LEARNT, HELD_OUT, TEST = "train", "validation", "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One figure of a suite on records of each split."""

    records: dict[str, int]
    """By split: train, validation and test, as far as there are any."""
    figures: dict[str, float]
    intervals: dict[str, Interval]

    @property
    def gap(self) -> float:
        """What was learnt minus what was held out of it, records of the same sources."""
        return self.figures[LEARNT] - self.figures[HELD_OUT]

    @property
    def gap_interval(self) -> Interval:
        """Of records drawn apart from each other."""
        return confidence_intervals.of_difference(
            (self.figures[LEARNT], self.intervals[LEARNT]),
            (self.figures[HELD_OUT], self.intervals[HELD_OUT]),
        )


def of(
    test: Sequence[Prediction], others: Sequence[Prediction], suites: Sequence[Suite], seed: int
) -> dict[str, dict[str, Fit]]:
    """{suite: {figure: fit}} of a variant, as far as it is defined on train and validation.

    `others` are its answers to some records of these two.
    """
    splits = {
        name: [row for row in others if row.slices[SPLIT] == name] for name in (LEARNT, HELD_OUT)
    }
    found: dict[str, dict[str, Fit]] = {}
    for suite in suites:
        rows = {
            name: [row for row in part if row.task == suite.task]
            for name, part in {**splits, TEST: test}.items()
        }
        metrics = _metrics(suite, rows[LEARNT])
        intervals = {
            name: paired_tests.intervals(metrics, part, seed) for name, part in rows.items()
        }
        fits = {
            name: Fit(
                records={split: len(part) for split, part in rows.items()},
                figures={
                    split: metric.figure(part)
                    for split, part in rows.items()
                    if name in intervals[split]
                },
                intervals={split: own[name] for split, own in intervals.items() if name in own},
            )
            for name, metric in metrics.items()
            if name in intervals[LEARNT] and name in intervals[HELD_OUT]
        }
        if fits:
            found[suite.task] = fits
    return found


def _metrics(suite: Suite, rows: Sequence[Prediction]) -> Mapping[str, Metric]:
    """Those of the suite and, where answers have a likelihood, of that."""
    likely = bool(rows) and all(row.loss is not None and row.tokens for row in rows)
    return {**suite.figures, **(LIKELIHOOD if likely else {})}
