"""Two variants held against each other, record by record: what changed, and is it chance?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from stages.pages.results import Figures, Prediction, suites


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How many answers one step of the pipeline made better, and how many worse."""

    better: int
    worse: int

    @property
    def p(self) -> float:
        """Exact two-sided sign test (McNemar): how often chance alone is as lopsided."""
        total, fewer = self.better + self.worse, min(self.better, self.worse)
        whole = math.lgamma(total + 1) - total * math.log(2)
        tail = math.fsum(
            math.exp(whole - math.lgamma(k + 1) - math.lgamma(total - k + 1))
            for k in range(fewer + 1)
        )
        return min(1.0, 2 * tail)

    @property
    def could_be_chance(self) -> bool:
        """Whether the difference is within what chance explains, at the usual 5%."""
        return self.p >= 0.05


def changes(rows: Sequence[Prediction], before: str, after: str) -> Change:
    """From one variant to another, on the same records."""
    pairs = [(row.scores[before], row.scores[after]) for row in rows]
    return Change(
        better=sum(new > old for old, new in pairs), worse=sum(new < old for old, new in pairs)
    )


def interval(share: float, records: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, 1927): sound for few records and near 0 or 1."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    weight = 1 / (1 + z * z / records)
    centre = weight * (share + z * z / (2 * records))
    spread = weight * z * math.sqrt(share * (1 - share) / records + (z / (2 * records)) ** 2)
    return max(0.0, centre - spread), min(1.0, centre + spread)


def classes(confusion: dict[str, dict[str, int]]) -> dict[str, Figures]:
    """Precision, recall and F1 of each label that occurs; 0 where a denominator is."""
    chosen: dict[str, int] = {}
    for row in confusion.values():
        for label, count in row.items():
            chosen[label] = chosen.get(label, 0) + count
    result = {}
    for label in sorted({*confusion, *chosen}):
        records = sum(confusion.get(label, {}).values())
        right = confusion.get(label, {}).get(label, 0)
        precision = right / chosen[label] if label in chosen else 0.0
        recall = right / records if records else 0.0
        f1 = 2 * right / (records + chosen.get(label, 0)) if right else 0.0
        result[label] = {"records": records, "precision": precision, "recall": recall, "f1": f1}
    return result


def mistakes(confusion: dict[str, dict[str, int]]) -> list[tuple[str, str, int, int]]:
    """(expected, chosen, how often, of how many records), the most frequent first."""
    found = [
        (want, have, count, sum(row.values()))
        for want, row in confusion.items()
        for have, count in row.items()
        if want != have
    ]
    return sorted(found, key=lambda item: (-item[2], item[3], item[0], item[1]))


def details(variants: dict[str, Figures], rows: Sequence[Prediction]) -> Figures:
    """All that is known, unrounded: slices, confusion, intervals, classes, changes by record."""
    return {
        **{
            name: {**variant, **{t: {**s, **_inferred(s)} for t, s in suites(variant).items()}}
            for name, variant in variants.items()
        },
        "changes": {
            task: _changes([row for row in rows if row.task == task])
            for task in suites(variants["merged"])
        },
    }


def _changes(rows: Sequence[Prediction]) -> Figures:
    steps = {
        "tuning": changes(rows, "base", "merged"),
        "quantization": changes(rows, "merged", "quantized"),
    }
    return {name: {"better": c.better, "worse": c.worse, "p": c.p} for name, c in steps.items()}


def _inferred(suite: Figures) -> Figures:
    """What follows from a suite's figures: 95% intervals of its shares, figures by label."""
    shares = {k: v for k, v in suite["overall"].items() if k in ("accuracy", "exact_match")}
    result: Figures = {"intervals": {k: interval(v, suite["records"]) for k, v in shares.items()}}
    if "confusion" in suite:
        result["classes"] = classes(suite["confusion"])
    return result
