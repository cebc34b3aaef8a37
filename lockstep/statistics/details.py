"""reports/details.json: every metric of every variant, with intervals, slices and comparisons."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockstep.metrics.classification import OTHER
from lockstep.metrics.metric_display import describe_metric
from lockstep.metrics.suite_metrics import PERPLEXITY, MeasuredSuite, compute_metrics
from lockstep.predictions import STEPS, VARIANTS, Prediction
from lockstep.statistics import examples, paired_tests
from lockstep.statistics.confidence_intervals import Interval, compute_share_interval
from lockstep.statistics.evidence import Evidence, Sizes
from lockstep.statistics.gates import Gate, compute_outcome
from lockstep.statistics.paired_tests import Difference
from lockstep.statistics.robustness import compute_robustness
from lockstep.statistics.split_gap import TEST, TRAIN, VALIDATION, SplitGap, compute_split_gaps
from lockstep.statistics.stage_results import VariantPredictions

MIN_RECORDS = 10
"""Minimum number of records of a slice or label that the report names as weakest."""

Metrics = dict[str, Any]
"""Metrics and related values, as JSON."""


def assemble_details(
    predictions: VariantPredictions,
    perturbed: VariantPredictions,
    splits: VariantPredictions,
    lm_eval: Mapping[str, Metrics],
    suites: Sequence[MeasuredSuite],
    slices: Sequence[str],
    gates: Sequence[Gate],
    example_number: int,
    seed: int,
    sizes: Sizes,
) -> Metrics:
    """Return the content of details.json: everything that the report shows of the predictions.

    `predictions` are those on the test records, `perturbed` on perturbed records, `splits` on train
    and validation records. `lm_eval` has the results of lm-eval by variant. `example_number` is
    the number of examples of each suite, and `sizes` are those of the weights.
    """
    evidence = Evidence(predictions, suites, seed, sizes)
    comparisons = {suite.task: examples.compare_variants(predictions, suite) for suite in suites}
    metrics = {
        variant: _compute_all_metrics(
            predictions[variant], perturbed[variant], lm_eval[variant], suites, slices
        )
        for variant in VARIANTS
    }
    differences = paired_tests.adjust_differences(
        {step: evidence.compute_differences(*variants) for step, variants in STEPS.items()}
    )
    gaps = {
        variant: compute_split_gaps(predictions[variant], splits[variant], suites, seed)
        for variant in VARIANTS
    }
    slice_intervals = evidence.compute_slice_intervals(slices)
    return {
        **{
            variant: _add_statistics(
                metrics[variant], evidence.compute_intervals(variant), slice_intervals[variant]
            )
            for variant in VARIANTS
        },
        "lm_eval": {variant: results["tasks"] for variant, results in lm_eval.items()},
        "differences": {
            step: _format_by_suite(by_suite, format_difference)
            for step, by_suite in differences.items()
        },
        "changes": {
            task: {step: count_changes(records, *variants) for step, variants in STEPS.items()}
            for task, records in comparisons.items()
        },
        "gates": [_format_gate(gate, evidence) for gate in gates],
        "split_gaps": {
            variant: _format_by_suite(by_suite, _format_split_gap)
            for variant, by_suite in gaps.items()
        },
        "examples": {
            suite.task: examples.choose_examples(comparisons[suite.task], example_number, suite)
            for suite in suites
        },
        "suites": {suite.task: _describe_suite(suite, comparisons[suite.task]) for suite in suites},
    }


def count_changes(
    records: Sequence[examples.ComparedRecord], before: str, after: str
) -> dict[str, int]:
    """Count the answers whose score rises (better) or falls (worse) between two variants."""
    pairs = [(record.scores[before], record.scores[after]) for record in records]
    return {
        "better": sum(new > old for old, new in pairs),
        "worse": sum(new < old for old, new in pairs),
    }


def compute_class_metrics(confusion: dict[str, dict[str, int]]) -> dict[str, Metrics]:
    """Return the metrics of each label; `confusion` is {reference: {prediction: count}}."""
    predicted: Counter[str] = Counter()
    for row in confusion.values():
        predicted.update(row)
    result: dict[str, Metrics] = {}
    for label in sorted({*confusion, *predicted} - {OTHER}):
        records = sum(confusion.get(label, {}).values())
        correct = confusion.get(label, {}).get(label, 0)
        result[label] = {"records": records, **_rate_class(correct, records, predicted[label])}
    return result


def compute_entity_metrics(types: Mapping[str, Mapping[str, int]]) -> dict[str, Metrics]:
    """Return the metrics of each entity type; `types` is {type: numbers} (metrics.entities)."""
    return {
        name: {
            **counts,
            **_rate_class(counts["correct"], counts["reference"], counts["predicted"]),
        }
        for name, counts in types.items()
    }


def find_weakest_slices(suite: Metrics) -> Metrics:
    """Return the worst slice of each metric, among slices of at least MIN_RECORDS records."""
    result: Metrics = {}
    for name in suite["overall"]:
        candidates = [
            (metrics[name], f"{slice_name} {value}", metrics["records"])
            for slice_name, values in suite["slices"].items()
            for value, metrics in values.items()
            if name in metrics and MIN_RECORDS <= metrics["records"] < suite["records"]
        ]
        if candidates:
            lower_is_better = describe_metric(name).lower_is_better
            worst = max(candidates) if lower_is_better else min(candidates)
            result[name] = {"slice": worst[1], "metric": worst[0], "records": worst[2]}
    return result


def get_suites(variant: Metrics) -> dict[str, Metrics]:
    """Return the suites among a variant's metrics, those with a confusion matrix first, by name."""
    suites = {
        task: value
        for task, value in variant.items()
        if isinstance(value, dict) and "overall" in value
    }
    return dict(sorted(suites.items(), key=lambda item: ("confusion" not in item[1], item[0])))


def round_digits(number: float, digits: int = 5) -> float:
    """Round to significant digits, so that diffs stay readable."""
    return float(f"{number:.{digits}g}")


def _compute_all_metrics(
    predictions: Sequence[Prediction],
    perturbed: Sequence[Prediction],
    lm_eval: Metrics,
    suites: Sequence[MeasuredSuite],
    slices: Sequence[str],
) -> Metrics:
    """Compute the metrics of one variant, including robustness and lm-eval's accuracy."""
    metrics = compute_metrics(predictions, suites, slices)
    for suite in suites:
        if robustness := compute_robustness(predictions, perturbed, suite):
            metrics[suite.task]["robustness"] = robustness
        if suite.task in lm_eval["suites"]:
            metrics[suite.task]["overall"]["lm_eval_accuracy"] = lm_eval["suites"][suite.task]
    return metrics


def _add_statistics(
    metrics: Metrics, intervals: Mapping[str, Any], slice_intervals: Mapping[str, Any]
) -> Metrics:
    """Add intervals, per-class metrics and the weakest slices to a variant's metrics.

    `intervals` is {suite: {metric: interval}}, `slice_intervals` {suite: {slice: {value: …}}}.
    """
    result = {**metrics, "intervals": _format_intervals(intervals.get(PERPLEXITY, {}))}
    for task, suite in get_suites(metrics).items():
        result[task] = {
            **suite,
            "intervals": _format_intervals(intervals[task]),
            "slices": {
                name: {
                    value: {
                        **slice_metrics,
                        "intervals": _format_intervals(slice_intervals[task][name][value]),
                    }
                    for value, slice_metrics in by_value.items()
                }
                for name, by_value in suite["slices"].items()
            },
            "weakest": find_weakest_slices(suite),
        }
        if "entities" in suite:
            result[task]["entities"] = compute_entity_metrics(suite["entities"])
        if "confusion" in suite:
            result[task]["classes"] = compute_class_metrics(suite["confusion"])
    return result


def _rate_class(correct: int, expected: int, predicted: int) -> Metrics:
    """Return precision, recall and F1 with intervals; 0 where a denominator is 0."""
    denominators = {"precision": predicted, "recall": expected}
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / expected if expected else 0.0,
        "f1": 2 * correct / (expected + predicted) if correct else 0.0,
        "intervals": {
            name: format_interval(compute_share_interval(correct, denominator))
            for name, denominator in denominators.items()
            if denominator
        },
    }


def _format_by_suite(
    by_suite: Mapping[str, Mapping[str, Any]], format_value: Callable[[Any], Metrics]
) -> dict[str, dict[str, Metrics]]:
    return {
        task: {name: format_value(value) for name, value in by_metric.items()}
        for task, by_metric in by_suite.items()
    }


def _format_intervals(intervals: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: format_interval(interval) for name, interval in intervals.items()}


def format_interval(interval: Interval) -> list[float]:
    """Return the ends of an interval, rounded."""
    return [round_digits(interval.low), round_digits(interval.high)]


def format_difference(difference: Difference) -> Metrics:
    """Return a difference between two variants, rounded."""
    detectable = difference.detectable
    return {
        "records": difference.records,
        "difference": round_digits(difference.value),
        "interval": format_interval(difference.interval),
        "p": round_digits(difference.p),
        "p_adjusted": round_digits(difference.p_adjusted),
        "detectable": None if detectable is None else round_digits(detectable),
    }


def _format_gate(gate: Gate, evidence: Evidence) -> Metrics:
    """Return a gate with its outcome; gates against the previous commit are not decided here."""
    if gate.against == "previous":
        return {"gate": gate.model_dump(), "decided": False}
    outcome = compute_outcome(gate, evidence)
    return {
        "gate": gate.model_dump(),
        "decided": True,
        "passed": outcome.passed,
        "value": outcome.value,
        "interval": format_interval(outcome.interval) if outcome.interval else None,
    }


def _format_split_gap(gap: SplitGap) -> Metrics:
    return {
        **{
            split: {
                "records": gap.records[split],
                "metric": round_digits(gap.values[split]),
                "interval": format_interval(gap.intervals[split]),
            }
            for split in (TRAIN, VALIDATION, TEST)
            if split in gap.intervals
        },
        "gap": round_digits(gap.gap),
        "gap_interval": format_interval(gap.gap_interval),
    }


def _describe_suite(
    suite: MeasuredSuite, comparisons: Sequence[examples.ComparedRecord]
) -> Metrics:
    """Return what the report needs to know about a suite beside its metrics."""
    lengths = [len(comparison.reference) for comparison in comparisons]
    return {
        "form": suite.form,
        "graded": examples.is_graded(suite),
        "longest_reference": max(lengths, default=0),
        "tokenizers": {
            name: tokenizer
            for name in suite.metrics
            if (tokenizer := describe_metric(name).tokenizer)
        },
    }
