"""Two variants held against each other: what changed, record by record, and is it chance?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lockstep.metrics.classification import OTHER
from lockstep.metrics.suite_metrics import OVERALL
from lockstep.reporting.metric_display import measure
from lockstep.reporting.stage_results import STEPS, Figures, Prediction, suites
from lockstep.reporting.summary_metrics import significant
from lockstep.statistics import paired_tests
from lockstep.statistics.confidence_intervals import Interval, of_share
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.paired_tests import Difference

FEW = 10
"""A slice or label of fewer records says nothing."""

Differences = dict[str, dict[str, dict[str, Difference]]]
"""step -> suite -> figure -> difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How many answers one step of the pipeline made better, and how many worse."""

    better: int
    worse: int


def differences(evidence: Evidence) -> Differences:
    """Of both steps, tested together."""
    return paired_tests.adjusted(
        {step: evidence.differences(*variants) for step, variants in STEPS.items()}
    )


def changes(rows: Sequence[Prediction], before: str, after: str) -> Change:
    """From one variant to another, on the same records."""
    pairs = [(row.scores[before], row.scores[after]) for row in rows]
    return Change(
        better=sum(new > old for old, new in pairs), worse=sum(new < old for old, new in pairs)
    )


def classes(confusion: dict[str, dict[str, int]]) -> dict[str, Figures]:
    """Precision, recall and F1 of each label that occurs; 0 where a denominator is."""
    chosen: dict[str, int] = {}
    for row in confusion.values():
        for label, count in row.items():
            chosen[label] = chosen.get(label, 0) + count
    result: dict[str, Figures] = {}
    for label in sorted({*confusion, *chosen} - {OTHER}):
        records = sum(confusion.get(label, {}).values())
        right = confusion.get(label, {}).get(label, 0)
        precision = right / chosen[label] if label in chosen else 0.0
        recall = right / records if records else 0.0
        f1 = 2 * right / (records + chosen.get(label, 0)) if right else 0.0
        shares = {"precision": chosen.get(label, 0), "recall": records}
        result[label] = {
            **{"records": records, "precision": precision, "recall": recall, "f1": f1},
            "intervals": {n: _ends(of_share(right, of)) for n, of in shares.items() if of},
        }
    return result


def never_expected(confusion: dict[str, dict[str, int]]) -> list[str]:
    """What was answered, a label or another text, that no record expects."""
    return sorted({have for row in confusion.values() for have in row} - confusion.keys())


def mistakes(confusion: dict[str, dict[str, int]]) -> list[tuple[str, str, int, int]]:
    """(expected, chosen, how often, of how many records), the most frequent first."""
    found = [
        (want, have, count, sum(row.values()))
        for want, row in confusion.items()
        for have, count in row.items()
        if want != have
    ]
    return sorted(found, key=lambda item: (-item[2], item[3], item[0], item[1]))


def details(
    variants: dict[str, Figures],
    rows: Sequence[Prediction],
    evidence: Evidence,
    found: Differences,
    slices: Sequence[str],
) -> Figures:
    """All that is known: figures with their intervals, slices, confusion, classes, differences
    between variants, changes by record."""
    return {
        **{name: _variant(name, variant, evidence, slices) for name, variant in variants.items()},
        "differences": {
            step: {
                task: {name: _difference(one) for name, one in part.items()}
                for task, part in suites.items()
            }
            for step, suites in found.items()
        },
        "changes": {
            task: {
                step: asdict(changes([row for row in rows if row.task == task], *pair))
                for step, pair in STEPS.items()
            }
            for task in suites(variants["merged"])
        },
    }


def _variant(name: str, variant: Figures, evidence: Evidence, slices: Sequence[str]) -> Figures:
    whole, parts = evidence.intervals(name), evidence.slices(name, slices)
    result = {**variant, "intervals": {n: _ends(i) for n, i in whole.get(OVERALL, {}).items()}}
    for task, suite in suites(variant).items():
        own: Figures = {"intervals": {n: _ends(i) for n, i in whole[task].items()}}
        own["slices"] = {
            slice_: {
                value: {
                    **figures,
                    "intervals": {n: _ends(i) for n, i in parts[task][slice_][value].items()},
                }
                for value, figures in values.items()
            }
            for slice_, values in suite["slices"].items()
        }
        own["weakest"] = weakest(suite)
        if "confusion" in suite:
            own["classes"] = classes(suite["confusion"])
        result[task] = {**suite, **own}
    return result


def weakest(suite: Figures) -> Figures:
    """The slice in which each figure is worst, of those of FEW records at least."""
    result: Figures = {}
    for name in suite["overall"]:
        own = measure(name)
        found = [
            (part[name], f"{slice_} {value}", part["records"])
            for slice_, values in suite["slices"].items()
            for value, part in values.items()
            if name in part and FEW <= part["records"] < suite["records"]
        ]
        if found:
            worst = max(found) if own.lower_is_better else min(found)
            result[name] = {"slice": worst[1], "figure": worst[0], "records": worst[2]}
    return result


def _ends(interval: Interval) -> list[float]:
    return [significant(interval.low), significant(interval.high)]


def _difference(one: Difference) -> Figures:
    return {
        "records": one.records,
        "difference": significant(one.value),
        "interval": _ends(one.interval),
        "p": significant(one.p),
        "p_adjusted": significant(one.adjusted),
        "detectable": None if one.detectable is None else significant(one.detectable),
    }
