"""The judgement in plain words: what tuning and quantization did, and what to look at."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.reporting.comparison import FEW, Differences
from lockstep.reporting.metric_display import in_order, measure, words
from lockstep.reporting.stage_results import VARIANTS, Figures, suites
from lockstep.statistics.paired_tests import Difference

BITS = {"nf4": "4-bit", "int8": "8-bit"}
TELLING = 50
"""A suite of fewer test records can only show large differences."""
MOST = 6
"""Labels that one sentence lists."""
OFTEN = 0.05
"""The share of answers that may be cut before it is told."""
_NUMBERED = re.compile(r"(\D*)(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One slice of one suite in all variants, by the suite's main measure."""

    task: str
    name: str
    value: str
    records: int
    measure: str
    whole: float
    """The merged variant's figure over the whole suite."""
    figures: dict[str, float]

    @property
    def title(self) -> str:
        return f"{words(self.name)} {self.value}"


def headline(variants: dict[str, Figures], quantize: Figures, found: Differences) -> str:
    """One sentence: the main figure of the first suite before, after, and in few bits."""
    task, suite = next(
        (task, suite) for task, suite in suites(variants["merged"]).items() if suite["overall"]
    )
    name = in_order(suite["overall"])[0]
    own = measure(name)
    base, merged, quantized = (variants[v][task]["overall"][name] for v in VARIANTS)
    subject = f"{words(task)} {own.title}"
    if own.difference(base, merged) == 0:
        tuning = f"Tuning leaves {subject} at {own.show(merged)}"
    else:
        verb = "lifts" if merged > base else "lowers"
        tuning = f"Tuning {verb} {subject} from {own.show(base)} to {own.show(merged)}"
        tuning += _doubt(found["tuning"], task, name)
    difference = own.difference(merged, quantized)
    doubt = _doubt(found["quantization"], task, name) if difference else ""
    return f"{tuning}; {quantization(difference, own.percent, quantize, doubt)}."


def quantization(difference: float, percent: bool, quantize: Figures, doubt: str) -> str:
    """What few bits cost in quality and save in bytes."""
    unit = " points" if percent else ""
    price = "costs nothing" if difference == 0 else f"gains {difference:g}{unit}"
    if difference < 0:
        price = f"costs {-difference:g}{unit}"
    saved = 1 - quantize["bytes_after"] / quantize["bytes_before"]
    room = f"saves {saved:.0%} of the bytes" if saved >= 0 else f"takes {-saved:.0%} more bytes"
    return f"{BITS[quantize['method']]} {price}{doubt} and {room}"


def slices(variants: dict[str, Figures]) -> list[Slice]:
    """Every slice that parts a suite, in the order of the suites."""
    return [
        Slice(
            task=task,
            name=name,
            value=value,
            records=part["records"],
            measure=main,
            whole=suite["overall"][main],
            figures={v: variants[v][task]["slices"][name][value][main] for v in VARIANTS},
        )
        for task, suite in suites(variants["merged"]).items()
        for main in in_order(suite["overall"])[:1]
        for name, parts in suite["slices"].items()
        for value, part in sorted(parts.items(), key=lambda item: _natural(item[0]))
        if part["records"] < suite["records"]
        and all(main in variants[v][task]["slices"][name][value] for v in VARIANTS)
    ]


def _natural(text: str) -> list[tuple[str, int]]:
    """Sorts the numbers in texts by value."""
    return [(words, int(number or 0)) for words, number in _NUMBERED.findall(text)]


def weakest(parts: Sequence[Slice]) -> Slice | None:
    """The slice in which the merged variant falls furthest below its whole suite, if any does."""
    below = {
        index: (part.whole - part.figures["merged"]) / (measure(part.measure).top or part.whole)
        for index, part in enumerate(parts)
        if part.records >= FEW and part.figures["merged"] < part.whole
    }
    return parts[max(below, key=below.__getitem__)] if below else None


def concerns(
    variants: dict[str, Figures],
    found: Differences,
    log: Sequence[dict[str, Any]],
    train: Figures,
    prepared: Figures,
) -> list[str]:
    """What a reviewer should look at before the model ships, the gravest first."""
    return [
        *_tuning_losses(variants, found["tuning"]),
        *_quantization_losses(variants, found["quantization"]),
        *_weak_slice(variants),
        *_unlearnt(variants["merged"], prepared["unlearnt_labels"]),
        *_unrecognized(variants["merged"]),
        *_cut_answers(variants["merged"]),
        *_overfitting(log),
        *_cut_rows(train),
        *_few_records(variants["merged"]),
    ]


def _tuning_losses(
    variants: dict[str, Figures], found: dict[str, dict[str, Difference]]
) -> Iterator[str]:
    for task, name, before, after in _worsened(variants, "base", "merged"):
        yield _worse("Tuning", task, name, before, after) + f"{_doubt(found, task, name)}."


def _quantization_losses(
    variants: dict[str, Figures], found: dict[str, dict[str, Difference]]
) -> Iterator[str]:
    """What is more than chance explains."""
    for task, name, before, after in _worsened(variants, "merged", "quantized"):
        if name in found.get(task, {}) and not found[task][name].could_be_chance:
            yield _worse("Quantization", task, name, before, after) + "."


def _worsened(
    variants: dict[str, Figures], old: str, new: str
) -> Iterator[tuple[str, str, float, float]]:
    """(suite, figure, before, after) of each figure that is worse as shown."""
    for task, suite in suites(variants[new]).items():
        for name in in_order(suite["overall"]):
            before, after = variants[old][task]["overall"].get(name), suite["overall"][name]
            if before is not None and measure(name).is_better(after, before):
                yield task, name, before, after


def _worse(step: str, task: str, name: str, before: float, after: float) -> str:
    own = measure(name)
    return (
        f"{step} makes {words(task)} {own.title} worse: "
        f"{own.show(before)} before, {own.show(after)} after"
    )


def _doubt(found: dict[str, dict[str, Difference]], task: str, name: str) -> str:
    difference = found.get(task, {}).get(name)
    return " (which could be chance)" if difference and difference.could_be_chance else ""


def _weak_slice(variants: dict[str, Figures]) -> Iterator[str]:
    worst = weakest(slices(variants))
    if worst:
        own = measure(worst.measure)
        yield (
            f"Weakest slice: {words(worst.task)}, {worst.title}, with "
            f"{own.show(worst.figures['merged'])} {own.title} on {worst.records} records "
            f"against {own.show(worst.whole)} overall."
        )


def _unrecognized(merged: Figures) -> Iterator[str]:
    for task, suite in suites(merged).items():
        never = [
            label
            for label, row in suite.get("confusion", {}).items()
            if sum(row.values()) >= FEW and label not in row
        ]
        if never:
            yield f"Never right in {words(task)}: {_named(never)}."


def _unlearnt(merged: Figures, labels: dict[str, dict[str, int]]) -> Iterator[str]:
    for task in suites(merged):
        if task in labels:
            yield f"In no training record of {words(task)}: {_named([*labels[task]])}."


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - MOST} more" if len(labels) > MOST else ""
    return f"{', '.join(map(words, labels[:MOST]))}{more}"


def _cut_answers(merged: Figures) -> Iterator[str]:
    for task, suite in suites(merged).items():
        truncated, records = suite.get("truncated", 0), suite["records"]
        if truncated > OFTEN * records:
            yield (
                f"{truncated:,} of {records:,} answers of {words(task)} were cut at "
                "evaluate.max_new_tokens, before the model ended them."
            )


def _overfitting(log: Sequence[dict[str, Any]]) -> Iterator[str]:
    losses = [(r["validation_loss"], r["step"]) for r in log if r["validation_loss"] is not None]
    if losses and losses[-1][0] > 1.05 * min(losses)[0]:
        best, step = min(losses)
        yield (
            f"Validation loss rises from {best:.3f} at step {step:.0f} to {losses[-1][0]:.3f} "
            "at the end: fewer epochs may do better."
        )


def _cut_rows(train: Figures) -> Iterator[str]:
    for name, fate in (("rows_truncated", "cut short"), ("rows_dropped", "dropped as too long")):
        if train[name]:
            yield f"{train[name]:,} of {train['rows']:,} training rows were {fate}."


def _few_records(merged: Figures) -> Iterator[str]:
    for task, suite in suites(merged).items():
        if suite["records"] < TELLING:
            yield (
                f"{words(task).capitalize()} has {suite['records']} test records: "
                "too few to tell models apart, or to find a lost label."
            )
