"""Drift: does a split have another distribution of tasks, slices, labels or lengths than training?

A difference is drift if it is significant and large. The test is Pearson's chi-squared test of
homogeneity, corrected for all comparisons by Holm's method. The size is the population stability
index (PSI). Both are needed: with many records, a difference too small to matter is significant;
with few, chance alone makes the index large, about (values - 1) (1 / records of training +
1 / records of the split).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep import records
from lockstep.data.data_card import RecordStatistics
from lockstep.multiple_testing import LEVEL, adjust_p_values

MIN_INDEX = 0.1
"""PSI from which on a difference is drift: below 0.1 it is usually called small, from 0.25 on
large (Siddiqi, Credit Risk Scorecards, 2006)."""
MIN_EXPECTED = 5
"""Minimum expected number of records; rarer values are pooled (Cochran, 1954)."""
_BINS = 10
_OTHERS = "other values"

Counts = npt.NDArray[np.int64]
"""Numbers of records with each value, in training and in another split: (2, values)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of the distributions of one attribute in training and in another split."""

    records: int
    """Number of records of the other split."""
    chi_squared: float
    degrees_of_freedom: int
    p: float
    stability_index: float
    value: str
    """Value whose share differs most, by its contribution to the index."""
    train_share: float
    """Share of this value in training."""
    share: float
    """Share of this value in the other split."""


def measure_drift(
    splits: Mapping[str, RecordStatistics], labelled_sources: Collection[str], group_size: float
) -> dict[str, dict[str, dict[str, Any]]]:
    """Compare validation and test with training; return the comparisons by split and attribute.

    `splits` should only have records of sources that are divided: another source differs on
    purpose. Near-duplicates and other groups go to one split together, so that there are fewer
    independent observations than records: chi-squared is divided by `group_size`, the size of the
    group of an average record (the design effect of Kish, 1965, if groups are uniform).

    An attribute with fewer than two values that are frequent enough for a test is left out.
    """
    train = count_values(splits["train"], labelled_sources)
    comparisons: dict[tuple[str, str], Comparison] = {}
    for name in ("validation", "test"):
        counts = count_values(splits[name], labelled_sources)
        lengths = _count_lengths(splits["train"], splits[name])
        attributes = sorted(train.keys() & counts.keys())
        pairs = {attribute: (train[attribute], counts[attribute]) for attribute in attributes}
        for attribute, (before, after) in {**pairs, "question length": lengths}.items():
            comparison = compare_counts(before, after, group_size)
            if comparison:
                comparisons[name, attribute] = comparison
    adjusted = adjust_p_values([comparison.p for comparison in comparisons.values()])
    drift: dict[str, dict[str, dict[str, Any]]] = {"validation": {}, "test": {}}
    for ((name, attribute), comparison), p in zip(comparisons.items(), adjusted, strict=True):
        drift[name][attribute] = {
            "records": comparison.records,
            "chi_squared": round(comparison.chi_squared, 2),
            "degrees_of_freedom": comparison.degrees_of_freedom,
            "p_adjusted": float(f"{p:.3g}"),
            "stability_index": round(comparison.stability_index, 3),
            "value": comparison.value,
            "train_share": round(comparison.train_share, 4),
            "share": round(comparison.share, 4),
            "is_drift": bool(p < LEVEL and comparison.stability_index >= MIN_INDEX),
        }
    return drift


def describe_drift(drift: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Return a sentence for each attribute that drifts."""
    return [
        f"The {name} split differs from training in {attribute}: {facts['value'] or 'no value'} is "
        f"{facts['share']:.1%} of {name} and {facts['train_share']:.1%} of training (population "
        f"stability index {facts['stability_index']:.2f}, corrected p {facts['p_adjusted']:.2g})."
        for name, attributes in drift.items()
        for attribute, facts in attributes.items()
        if facts["is_drift"]
    ]


def count_values(
    split: RecordStatistics, labelled_sources: Collection[str]
) -> dict[str, Counter[str]]:
    """Return the number of records with each value of each attribute.

    Attributes are the task, each slice, and the labels of each task with labels. A record that
    lacks a slice does not count in it, and a record of several labels counts for each.
    """
    counts: dict[str, Counter[str]] = {"task": Counter()}
    for values, number in split.metadata.items():
        counts["task"][values.task] += number
        for name, value in values.slices:
            counts.setdefault(f"the slice {name}", Counter())[value] += number
        if values.source in labelled_sources:
            for label in records.parse_labels(values.answer):
                counts.setdefault(f"the labels of {values.task}", Counter())[label] += number
    return counts


def compare_counts(
    train: Counter[str], other: Counter[str], group_size: float = 1.0
) -> Comparison | None:
    """Compare two distributions; return None if fewer than two values are frequent enough."""
    names, counts = _pool_rare_values(train, other)
    if len(names) < 2:
        return None
    from scipy.special import chdtrc  # scipy.stats would take half a second to import

    sizes = counts.sum(axis=1, keepdims=True)
    expected = sizes * counts.sum(axis=0) / counts.sum()
    chi_squared = float(((counts - expected) ** 2 / expected).sum()) / group_size
    contributions = _compute_stability_contributions(counts)
    largest = int(np.argmax(contributions))
    before, after = (counts / sizes)[:, largest].tolist()
    return Comparison(
        records=int(sizes[1, 0]),
        chi_squared=chi_squared,
        degrees_of_freedom=len(names) - 1,
        p=float(chdtrc(len(names) - 1, chi_squared)),
        stability_index=float(contributions.sum()),
        value=names[largest],
        train_share=before,
        share=after,
    )


def _compute_stability_contributions(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the contribution of each value to the PSI, Σ (q - p) ln(q / p): (values,).

    Half a record is added to each count, so that the index is finite.
    """
    smoothed = counts + 0.5
    p, q = smoothed / smoothed.sum(axis=1, keepdims=True)
    contributions: npt.NDArray[np.float64] = (q - p) * np.log(q / p)
    return contributions


def _pool_rare_values(train: Counter[str], other: Counter[str]) -> tuple[list[str], Counts]:
    """Return the values and their counts, the rare ones pooled into one.

    If the pooled value is still too rare, it also takes the rarest of the others.
    """
    values = sorted(train.keys() | other.keys(), key=lambda name: (train[name] + other[name], name))
    counts = np.array([[c[value] for value in values] for c in (train, other)], np.int64)
    counts = counts.reshape(2, -1)
    if not counts.sum(axis=1).all():  # a split has no such record
        return [], counts[:, :0]
    smaller_share = counts.sum(axis=1).min() / counts.sum()
    is_rare = counts.sum(axis=0) * smaller_share < MIN_EXPECTED
    number = int(is_rare.sum())
    pooled = counts[:, :number].sum(axis=1, keepdims=True)
    if number and number < len(values) and pooled.sum() * smaller_share < MIN_EXPECTED:
        pooled, number = pooled + counts[:, number : number + 1], number + 1
    if not number:
        return values, counts
    names = [values[0] if number == 1 else _OTHERS, *values[number:]]
    return names, np.concatenate([pooled, counts[:, number:]], axis=1)


def _count_lengths(
    train: RecordStatistics, other: RecordStatistics
) -> tuple[Counter[str], Counter[str]]:
    """Return the number of records with a question length in each tenth of all lengths."""
    lengths: Sequence[npt.NDArray[np.int32]] = [train.lengths[:, 0], other.lengths[:, 0]]
    pooled = np.concatenate(lengths)
    if not len(pooled):
        return Counter(), Counter()
    bounds = np.unique(np.quantile(pooled, np.arange(1, _BINS) / _BINS, method="lower"))
    ends = [int(pooled.min()), *(bounds + 1).tolist(), int(pooled.max()) + 1]
    names = [f"{low} to {high - 1} characters" for low, high in pairwise(ends)]
    before, after = (
        Counter([names[bin] for bin in np.searchsorted(bounds, values, "left").tolist()])
        for values in lengths
    )
    return before, after
