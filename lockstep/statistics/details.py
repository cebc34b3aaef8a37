"""reports/details.json: every metric of every variant, with intervals, slices and comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.metrics.classification import OTHER
from lockstep.metrics.metric_display import describe_metric
from lockstep.metrics.suite_metrics import PERPLEXITY, MeasuredSuite, compute_metrics
from lockstep.predictions import STEPS, VARIANTS, Prediction
from lockstep.statistics import examples, paired_tests
from lockstep.statistics.confidence_intervals import Interval, compute_share_interval
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.gates import Gate, GateOutcome, compute_outcome
from lockstep.statistics.paired_tests import Difference
from lockstep.statistics.robustness import compute_robustness
from lockstep.statistics.split_gap import TEST, TRAIN, VALIDATION, SplitGap, compute_split_gaps
from lockstep.statistics.stage_results import VariantPredictions

MIN_RECORDS = 10
"""A slice or label with fewer records says nothing."""

Metrics = dict[str, Any]


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
) -> Metrics:
    """Compute everything that the report shows of the predictions.

    `perturbed` and `splits` are the predictions on perturbed records and on records of the other
    splits, `lm_eval` what lm-eval measured, by variant. Gates against the previous commit are not
    decided here.
    """
    evidence = Evidence(predictions, suites, seed)
    comparisons = {suite.task: examples.compare_variants(predictions, suite) for suite in suites}
    return {
        **{
            variant: _variant(
                variant,
                _all_metrics(
                    predictions[variant], perturbed[variant], lm_eval[variant], suites, slices
                ),
                evidence,
                slices,
            )
            for variant in VARIANTS
        },
        "lm_eval": {variant: results["tasks"] for variant, results in lm_eval.items()},
        "differences": {
            step: {
                task: {name: _difference(one) for name, one in by_metric.items()}
                for task, by_metric in by_suite.items()
            }
            for step, by_suite in paired_tests.adjust_differences(
                {step: evidence.differences(*variants) for step, variants in STEPS.items()}
            ).items()
        },
        "changes": {
            task: {step: count_changes(records, *pair) for step, pair in STEPS.items()}
            for task, records in comparisons.items()
        },
        "gates": [
            _gate(gate, None if gate.against == "previous" else compute_outcome(gate, evidence))
            for gate in gates
        ],
        "split_gaps": {
            variant: {
                task: {name: _split_gap(one) for name, one in by_metric.items()}
                for task, by_metric in compute_split_gaps(
                    predictions[variant], splits[variant], suites, seed
                ).items()
            }
            for variant in VARIANTS
        },
        "examples": {
            suite.task: examples.choose_examples(comparisons[suite.task], example_number, suite)
            for suite in suites
        },
        "suites": {
            suite.task: {
                "form": suite.form,
                "graded": examples.is_graded(suite),
                "longest_reference": max(
                    (len(record.reference) for record in comparisons[suite.task]), default=0
                ),
            }
            for suite in suites
        },
    }


def count_changes(
    records: Sequence[examples.Comparison], before: str, after: str
) -> dict[str, int]:
    """Count the answers that got better and worse from one variant to another."""
    pairs = [(record.scores[before], record.scores[after]) for record in records]
    return {
        "better": sum(new > old for old, new in pairs),
        "worse": sum(new < old for old, new in pairs),
    }


def compute_class_metrics(confusion: dict[str, dict[str, int]]) -> dict[str, Metrics]:
    """Return precision, recall and F1 of each label; 0 where a denominator is 0."""
    predicted: dict[str, int] = {}
    for row in confusion.values():
        for label, count in row.items():
            predicted[label] = predicted.get(label, 0) + count
    result: dict[str, Metrics] = {}
    for label in sorted({*confusion, *predicted} - {OTHER}):
        records = sum(confusion.get(label, {}).values())
        correct = confusion.get(label, {}).get(label, 0)
        counts = {"precision": predicted.get(label, 0), "recall": records}
        result[label] = {
            "records": records,
            "precision": correct / predicted[label] if label in predicted else 0.0,
            "recall": correct / records if records else 0.0,
            "f1": 2 * correct / (records + predicted.get(label, 0)) if correct else 0.0,
            "intervals": {
                name: _ends(compute_share_interval(correct, count))
                for name, count in counts.items()
                if count
            },
        }
    return result


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
    """Return the suites among a variant's metrics: those with a confusion first, then by name."""
    suites = {
        task: value
        for task, value in variant.items()
        if isinstance(value, dict) and "overall" in value
    }
    return dict(sorted(suites.items(), key=lambda item: ("confusion" not in item[1], item[0])))


def round_digits(number: float, digits: int = 5) -> float:
    """Round to significant digits: precise enough to compare, and diffs stay readable."""
    return float(f"{number:.{digits}g}")


def _all_metrics(
    predictions: Sequence[Prediction],
    perturbed: Sequence[Prediction],
    lm_eval: Metrics,
    suites: Sequence[MeasuredSuite],
    slices: Sequence[str],
) -> Metrics:
    """Compute the metrics of one variant, robustness and lm-eval's accuracy included."""
    metrics = compute_metrics(predictions, suites, slices)
    for suite in suites:
        if robust := compute_robustness(predictions, perturbed, suite):
            metrics[suite.task]["robustness"] = robust
        if suite.task in lm_eval["suites"]:
            metrics[suite.task]["overall"]["lm_eval_accuracy"] = lm_eval["suites"][suite.task]
    return metrics


def _variant(variant: str, metrics: Metrics, evidence: Evidence, slices: Sequence[str]) -> Metrics:
    """Add intervals, per-class metrics and the weakest slices to a variant's metrics."""
    overall = evidence.intervals(variant)
    by_slice = evidence.slice_intervals(variant, slices)
    result = {**metrics, "intervals": _all_ends(overall.get(PERPLEXITY, {}))}
    for task, suite in get_suites(metrics).items():
        result[task] = {
            **suite,
            "intervals": _all_ends(overall[task]),
            "slices": {
                name: {
                    value: {**values, "intervals": _all_ends(by_slice[task][name][value])}
                    for value, values in groups.items()
                }
                for name, groups in suite["slices"].items()
            },
            "weakest": find_weakest_slices(suite),
        }
        if "confusion" in suite:
            result[task]["classes"] = compute_class_metrics(suite["confusion"])
    return result


def _all_ends(intervals: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: _ends(interval) for name, interval in intervals.items()}


def _ends(interval: Interval) -> list[float]:
    return [round_digits(interval.low), round_digits(interval.high)]


def _difference(one: Difference) -> Metrics:
    return {
        "records": one.records,
        "difference": round_digits(one.value),
        "interval": _ends(one.interval),
        "p": round_digits(one.p),
        "p_adjusted": round_digits(one.p_adjusted),
        "detectable": None if one.detectable is None else round_digits(one.detectable),
    }


def _gate(gate: Gate, outcome: GateOutcome | None) -> Metrics:
    """Return a gate with its outcome; `decided` is false for gates against the previous commit."""
    if outcome is None:
        return {"gate": gate.model_dump(), "decided": False}
    return {
        "gate": gate.model_dump(),
        "decided": True,
        "passed": outcome.passed,
        "value": outcome.value,
        "interval": _ends(outcome.interval) if outcome.interval else None,
    }


def _split_gap(gap: SplitGap) -> Metrics:
    return {
        **{
            split: {
                "records": gap.records[split],
                "metric": round_digits(gap.values[split]),
                "interval": _ends(interval),
            }
            for split in (TRAIN, VALIDATION, TEST)
            if (interval := gap.intervals.get(split))
        },
        "gap": round_digits(gap.gap),
        "gap_interval": _ends(gap.gap_interval),
    }
