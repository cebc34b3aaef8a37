"""The verdict in sentences: what tuning and quantization changed, and what needs a look."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.metrics.metric_display import describe_metric, sort_metrics, spell_out
from lockstep.predictions import VARIANTS
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.details import MIN_RECORDS, Metrics, get_suites
from lockstep.statistics.paired_tests import Difference

FORMS = {
    "nf4": "4-bit",
    "fp4": "4-bit floating point",
    "int8": "8-bit",
    "pruned": "pruning",
    "gguf_f16": "16-bit",
    "gguf_q8_0": "8-bit",
    "gguf_q5_1": "5-bit",
    "gguf_q4_0": "4-bit",
}
"""Method of quantize -> the form of the weights in words."""
MIN_SUITE = 50
"""Number of test records below which a suite shows only large differences."""
MAX_NAMES = 6
"""Maximum number of labels in one sentence."""
MAX_TRUNCATED = 0.05
"""Share of truncated answers above which they are a concern."""
_NUMBERED = re.compile(r"(\D*)(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """The main metric of a suite on one of its slices, for all variants."""

    task: str
    name: str
    value: str
    records: int
    metric: str
    overall: float
    """The merged variant's metric over the whole suite."""
    merged: float
    """The merged variant's metric on this slice."""
    values: list[float | None]
    """Metric of each variant on this slice; None where it is not defined."""

    @property
    def title(self) -> str:
        """Name and value of the slice."""
        return f"{spell_out(self.name)} {self.value}"


def write_headline(results: EvaluationResults, quantized: Metrics) -> str:
    """Return one sentence on the main metric of the first suite, or on perplexity without one.

    `quantized` is the summary of quantize.
    """
    for task, suite in results.suites.items():
        for name in sort_metrics(suite["overall"])[:1]:
            values = [results.variants[v][task]["overall"].get(name) for v in VARIANTS]
            subject = f"{spell_out(task)} {describe_metric(name).title}"
            return _write_headline(results, quantized, task, name, subject, values)
    name = "perplexity"
    values = [results.variants[variant].get(name) for variant in VARIANTS]
    return _write_headline(results, quantized, name, name, name, values)


def _write_headline(
    results: EvaluationResults,
    quantized: Metrics,
    task: str,
    name: str,
    subject: str,
    values: Sequence[float | None],
) -> str:
    display = describe_metric(name)
    before, merged, after = values
    if merged is None:
        return f"Nothing was measured; {describe_quantization(None, False, quantized, '')}."
    if before is None:
        tuning = f"Tuning brings {subject} to {display.format(merged)}"
    elif display.compute_change(before, merged) == 0:
        tuning = f"Tuning leaves {subject} at {display.format(merged)}"
    else:
        verb = "raises" if merged > before else "lowers"
        tuning = (
            f"Tuning {verb} {subject} from {display.format(before)} to {display.format(merged)}"
        )
        tuning += _describe_doubt(results.differences["tuning"], task, name)
    if after is None:
        return f"{tuning}; {describe_quantization(None, False, quantized, '')}."
    difference = display.compute_change(merged, after)
    gain = -difference if display.lower_is_better else difference
    doubt = _describe_doubt(results.differences["quantization"], task, name) if difference else ""
    return f"{tuning}; {describe_quantization(gain, display.percent, quantized, doubt)}."


def describe_quantization(gain: float | None, percent: bool, quantized: Metrics, doubt: str) -> str:
    """Describe what quantization costs in quality and saves in bytes."""
    saved = 1 - quantized["bytes_after"] / quantized["bytes_before"]
    room = f"saves {saved:.0%} of the bytes" if saved >= 0 else f"takes {-saved:.0%} more bytes"
    if saved == 0:
        room = "saves no bytes"
    form = FORMS[quantized["method"]]
    if gain is None:
        return f"{form} {room}"
    unit = " points" if percent else ""
    price = "costs nothing" if gain == 0 else f"gains {gain:g}{unit}"
    if gain < 0:
        price = f"costs {-gain:g}{unit}"
    return f"{form} {price}{doubt} and {room}"


def list_slices(results: EvaluationResults) -> list[SliceRow]:
    """Return each slice that holds a part of a suite, in the order of the suites.

    A slice in which the merged variant's metric is not defined is left out, and so are few-shot
    suites, which repeat the records of others.
    """
    variants = results.variants
    return [
        SliceRow(
            task=task,
            name=name,
            value=value,
            records=part["records"],
            metric=main,
            overall=suite["overall"][main],
            merged=part[main],
            values=[variants[v][task]["slices"][name][value].get(main) for v in VARIANTS],
        )
        for task, suite in results.suites.items()
        if task not in results.details["few_shot"]
        for main in sort_metrics(suite["overall"])[:1]
        for name, parts in suite["slices"].items()
        for value, part in sorted(parts.items(), key=lambda item: _build_natural_sort_key(item[0]))
        if part["records"] < suite["records"] and main in part
    ]


def find_weakest_slice(rows: Sequence[SliceRow]) -> SliceRow | None:
    """Return the slice in which the merged variant is worst compared with its whole suite."""
    deficits = {}
    for index, row in enumerate(rows):
        display = describe_metric(row.metric)
        deficit = row.overall - row.merged
        deficit = -deficit if display.lower_is_better else deficit
        if row.records >= MIN_RECORDS and deficit > 0:
            deficits[index] = deficit / (display.top or abs(row.overall) or 1)
    return rows[max(deficits, key=deficits.__getitem__)] if deficits else None


def list_concerns(
    results: EvaluationResults, log: Sequence[dict[str, Any]], train: Metrics, prepared: Metrics
) -> list[str]:
    """Return what a reviewer should look at before the model ships, the most serious first.

    `train` and `prepared` are the summaries of these stages, `log` is the training log.
    """
    merged = results.variants["merged"]
    return [
        *_report_declines_by_tuning(results),
        *_report_declines_by_quantization(results),
        *_report_weakest_slice(results),
        *prepared["warnings"],
        *_report_untrained_labels(merged, prepared["unlearnt_labels"]),
        *_report_unrecognized_labels(merged),
        *_report_truncated_answers(merged),
        *_report_overfitting(log),
        *_report_truncated_rows(train),
        *_report_few_records(merged),
    ]


def _report_declines_by_tuning(results: EvaluationResults) -> Iterator[str]:
    for task, name, before, after in _find_declines(results, "base", "merged"):
        doubt = _describe_doubt(results.differences["tuning"], task, name)
        yield _describe_decline("Tuning", task, name, before, after) + f"{doubt}."


def _report_declines_by_quantization(results: EvaluationResults) -> Iterator[str]:
    """Yield losses that chance does not explain."""
    tests = results.differences["quantization"]
    for task, name, before, after in _find_declines(results, "merged", "quantized"):
        if name in tests.get(task, {}) and not tests[task][name].could_be_chance:
            yield _describe_decline("Quantization", task, name, before, after) + "."


def _find_declines(
    results: EvaluationResults, old: str, new: str
) -> Iterator[tuple[str, str, float, float]]:
    """Yield (suite, metric, before, after) of each metric that is shown as worse."""
    variants = results.variants
    for task, suite in get_suites(variants[new]).items():
        for name in sort_metrics(suite["overall"]):
            before, after = variants[old][task]["overall"].get(name), suite["overall"][name]
            if before is not None and describe_metric(name).is_better(after, before):
                yield task, name, before, after


def _describe_decline(step: str, task: str, name: str, before: float, after: float) -> str:
    display = describe_metric(name)
    return (
        f"{step} makes {spell_out(task)} {display.title} worse: "
        f"{display.format(before)} before, {display.format(after)} after"
    )


def _describe_doubt(tests: dict[str, dict[str, Difference]], task: str, name: str) -> str:
    difference = tests.get(task, {}).get(name)
    return " (which could be chance)" if difference and difference.could_be_chance else ""


def _report_weakest_slice(results: EvaluationResults) -> Iterator[str]:
    weakest = find_weakest_slice(list_slices(results))
    if weakest:
        display = describe_metric(weakest.metric)
        yield (
            f"Weakest slice: {spell_out(weakest.task)}, {weakest.title}, with "
            f"{display.format(weakest.merged)} {display.title} on {weakest.records} "
            f"records, compared with {display.format(weakest.overall)} overall."
        )


def _report_unrecognized_labels(merged: Metrics) -> Iterator[str]:
    for task, suite in get_suites(merged).items():
        never = [
            label
            for label, row in suite.get("confusion", {}).items()
            if sum(row.values()) >= MIN_RECORDS and label not in row
        ]
        if never:
            yield f"Never predicted correctly in {spell_out(task)}: {_list_names(never)}."


def _report_untrained_labels(merged: Metrics, labels: dict[str, dict[str, int]]) -> Iterator[str]:
    for task in get_suites(merged):
        if task in labels:
            yield f"In no training record of {spell_out(task)}: {_list_names([*labels[task]])}."


def _list_names(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - MAX_NAMES} more" if len(labels) > MAX_NAMES else ""
    return f"{', '.join(map(spell_out, labels[:MAX_NAMES]))}{more}"


def _report_truncated_answers(merged: Metrics) -> Iterator[str]:
    for task, suite in get_suites(merged).items():
        truncated, records = suite.get("truncated", 0), suite["records"]
        if truncated > MAX_TRUNCATED * records:
            yield (
                f"{truncated:,} of {records:,} answers of {spell_out(task)} were truncated at "
                "predict.max_new_tokens before the model ended them."
            )


def _report_overfitting(log: Sequence[dict[str, Any]]) -> Iterator[str]:
    losses = [
        (row["validation_loss"], row["step"]) for row in log if row["validation_loss"] is not None
    ]
    if losses and losses[-1][0] > 1.05 * min(losses)[0]:
        best, step = min(losses)
        yield (
            f"Validation loss rises from {best:.3f} at step {step:.0f} to {losses[-1][0]:.3f} "
            "at the end: fewer epochs may do better."
        )


def _report_truncated_rows(train: Metrics) -> Iterator[str]:
    for name, fate in (
        ("rows_truncated", "truncated"),
        ("rows_dropped", "dropped as too long"),
        ("rows_equal", "dropped, since truncation made their two answers equal"),
    ):
        if train[name]:
            yield f"{train[name]:,} of {train['rows']:,} training rows were {fate}."


def _report_few_records(merged: Metrics) -> Iterator[str]:
    for task, suite in get_suites(merged).items():
        if suite["records"] < MIN_SUITE:
            yield (
                f"{spell_out(task).capitalize()} has only {suite['records']} test records: "
                "too few to tell models apart, or to find a label that the model lost."
            )


def _build_natural_sort_key(text: str) -> list[tuple[str, int]]:
    """Return a sort key that orders the numbers in texts by value."""
    return [(letters, int(number or 0)) for letters, number in _NUMBERED.findall(text)]
