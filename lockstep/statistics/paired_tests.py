"""How sure the figures of a suite are, and whether two variants' differ on the same records."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lockstep.metrics.aggregation import Metric, Share, Whole
from lockstep.predictions import Prediction
from lockstep.statistics import confidence_intervals
from lockstep.statistics.confidence_intervals import Figures, Interval, Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of two variants on the same records, after minus before."""

    records: int
    value: float
    interval: Interval
    p: float
    """How often chance alone makes a difference as large, either way."""
    adjusted: float
    """The same, corrected for all tests of the comparison by Holm's method."""
    detectable: float | None
    """The least true difference that so many records would have shown in four cases of five; None
    where no record says how much answers vary, or so few could show none."""

    @property
    def could_be_chance(self) -> bool:
        """Whether it is within what chance explains, at the usual 5%."""
        return self.adjusted >= confidence_intervals.LEVEL


def intervals(
    metrics: Mapping[str, Metric], rows: Sequence[Prediction], seed: int
) -> dict[str, Interval]:
    """That of each figure that is defined: exact for a share, else by resampling the records."""
    if not rows:
        return {}
    found = _spreads(metrics, rows, lambda figures: figures, seed)
    exact = {
        name: confidence_intervals.of_share(right, counting)
        for name, metric in metrics.items()
        if isinstance(metric, Share)
        for right, counting in [metric.parts(rows).sum(axis=0).astype(int).tolist()]
        if counting
    }
    return {name: spread.interval for name, spread in found.items()} | exact


def differences(
    metrics: Mapping[str, Metric],
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    seed: int,
) -> dict[str, Difference]:
    """Of each figure that is defined, not yet adjusted; both on the same records, in one order.

    Shares are tested by McNemar's exact test, other figures by exchanging answers at random.
    """
    if not before:
        return {}
    found: dict[str, Difference] = {}
    for names, counting in _counting(metrics, before):
        old, new = ([part[place] for place in counting] for part in (before, after))
        found |= _differences({name: metrics[name] for name in names}, old, new, seed)
    return {name: found[name] for name in metrics if name in found}


def _counting(
    metrics: Mapping[str, Metric], rows: Sequence[Prediction]
) -> Iterator[tuple[list[str], list[int]]]:
    """Figures with the places of the records that they are of: a share of few among many would be
    of none in some resamples."""
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, metric in metrics.items():
        counts = metric.parts(rows)[:, 1] if isinstance(metric, Share) else np.ones(len(rows))
        groups[tuple(np.flatnonzero(counts).tolist())].append(name)
    for places, names in groups.items():
        yield names, list(places)


def _differences(
    metrics: Mapping[str, Metric],
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    seed: int,
) -> dict[str, Difference]:
    """The same of figures for which all records count."""
    records, rows = len(before), [*before, *after]

    def paired(figures: Figures) -> Figures:
        def difference(weights: confidence_intervals.Weights) -> confidence_intervals.Numbers:
            nothing = np.zeros_like(weights)
            was = figures(np.concatenate([weights, nothing], axis=-1))
            return figures(np.concatenate([nothing, weights], axis=-1)) - was

        return difference

    spreads = _spreads(metrics, rows, paired, seed, records)
    resampled = [name for name in spreads if not isinstance(metrics[name], Share)]
    tested = dict(
        zip(resampled, _permuted({n: metrics[n] for n in resampled}, rows, seed), strict=True)
    )
    found = {}
    for name, spread in spreads.items():
        metric = metrics[name]
        least: float | None = confidence_intervals.detectable(spread.error)
        if isinstance(metric, Share):
            old, new = (metric.parts(part)[:, 0] for part in (before, after))
            tested[name] = confidence_intervals.mcnemar(
                int((new > old).sum()), int((new < old).sum())
            )
            fewest = confidence_intervals.fewest_changes()
            least = max(least or 0.0, fewest / records) if records >= fewest else None
        found[name] = Difference(
            records=records,
            value=metric.figure(after) - metric.figure(before),
            interval=spread.interval,
            p=tested[name],
            adjusted=tested[name],
            detectable=least or None,
        )
    return found


def adjusted(
    comparisons: Mapping[str, Mapping[str, Mapping[str, Difference]]],
) -> dict[str, dict[str, dict[str, Difference]]]:
    """{comparison: {suite: {figure: difference}}} with p corrected for all of them together."""
    tests = [
        d for suites in comparisons.values() for part in suites.values() for d in part.values()
    ]
    corrected = iter(confidence_intervals.holm([test.p for test in tests]))
    return {
        step: {
            task: {name: replace(d, adjusted=next(corrected)) for name, d in part.items()}
            for task, part in suites.items()
        }
        for step, suites in comparisons.items()
    }


def _spreads(
    metrics: Mapping[str, Metric],
    rows: Sequence[Prediction],
    of: Callable[[Figures], Figures],
    seed: int,
    records: int | None = None,
) -> dict[str, Spread]:
    """Of what `of` makes of the figures that are defined; none of fewer than two records."""
    number = len(rows) if records is None else records
    if number < 2:
        return {}
    metrics = {n: m for n, m in metrics.items() if math.isfinite(m.figure(rows))}
    found: dict[str, Spread] = {}
    for by_jackknife in (False, True):
        chosen = {n: m for n, m in metrics.items() if _by_jackknife(m) == by_jackknife}
        if chosen:
            figures = of(_together(chosen, rows))
            spreads = (
                confidence_intervals.jackknife(figures, number)
                if by_jackknife
                else confidence_intervals.bootstrap(figures, number, seed)
            )
            found |= dict(zip(chosen, spreads, strict=True))
    ends = {name: (s.interval.low, s.interval.high) for name, s in found.items()}
    return {
        name: found[name]
        for name in metrics
        if name in ends and all(map(math.isfinite, ends[name]))
    }


def _permuted(metrics: Mapping[str, Metric], rows: Sequence[Prediction], seed: int) -> list[float]:
    if not metrics:
        return []
    return confidence_intervals.permutation(_together(metrics, rows), len(rows) // 2, seed)


def _together(metrics: Mapping[str, Metric], rows: Sequence[Prediction]) -> Figures:
    each = [metric.weighted(rows) for metric in metrics.values()]
    return lambda weights: np.stack([figure(weights) for figure in each])


def _by_jackknife(metric: Metric) -> bool:
    return isinstance(metric, Whole) and metric.by_jackknife
