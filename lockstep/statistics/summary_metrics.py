"""reports/metrics.json: the few numbers by which a reviewer compares two commits.

`dvc metrics diff` prints them. All other metrics are in reports/details.json.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics.metric_display import sort_metrics
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.predictions import VARIANTS
from lockstep.statistics.details import Metrics, get_suites, round_digits
from lockstep.statistics.forgetting import OLD, compute_loss


def summarize_results(
    details: Metrics, summaries: Mapping[str, Metrics], slices: Sequence[str]
) -> Metrics:
    """Return the content of metrics.json, rounded.

    `summaries` are the summaries of the earlier stages, by folder. The main metric of each suite
    is broken down by `slices`.
    """
    rows, splits = summaries["prepared"]["rows"], summaries["prepared"]["splits"]
    trained, quantized = summaries["trained"], summaries["quantized"]
    return {
        **summarize_variants({variant: details[variant] for variant in VARIANTS}, slices),
        "data": {
            **{name: split["records"] for name, split in splits.items()},
            "rejected": rows["rejected"],
            "duplicates": rows["duplicates"],
            "augmented": summaries["augmented"]["children"],
        },
        "train": {
            "loss": round_digits(trained["loss"]),
            "validation_loss": round_digits(trained["validation_loss"]),
            "trained_share": round_digits(trained["trained_parameters"] / trained["parameters"]),
        },
        "merge": {
            name: summaries["merged"][name]
            for name in ("largest_difference", "largest_cast_difference")
        },
        **({"judge": summarize_judge(details["judge"])} if details["judge"] else {}),
        **({"human": summarize_human(details["human"])} if details["human"] else {}),
        **({"leaks": summarize_leaks(details["leaks"])} if details["leaks"] else {}),
        **summarize_forgetting(details.get("forgetting", {})),
        "quantize": {
            "bytes": quantized["bytes_after"],
            "ratio": round_digits(quantized["bytes_after"] / quantized["bytes_before"]),
        },
    }


def summarize_variants(variants: Mapping[str, Metrics], slices: Sequence[str]) -> Metrics:
    """Return {variant: {suite: {metric: value}}}: each suite's main metric, overall and by slice.

    All variants have the same main metric. A variant for which it is undefined lacks the suite.
    """
    metrics: dict[str, dict[str, None]] = {}
    for variant in variants.values():
        for task, suite in get_suites(variant).items():
            metrics.setdefault(task, {}).update(dict.fromkeys(suite["overall"]))
    main_metrics = {task: sort_metrics(names)[0] for task, names in metrics.items() if names}
    return {
        name: _summarize_variant(variant, main_metrics, slices)
        for name, variant in variants.items()
    }


def _summarize_variant(
    variant: Metrics, main_metrics: Mapping[str, str], slices: Sequence[str]
) -> Metrics:
    """Return {suite: {metric: value}}: the main metric of each suite, overall and by slice."""
    result: Metrics = {}
    if PERPLEXITY in variant:
        result[PERPLEXITY] = {"overall": round_digits(variant[PERPLEXITY])}
    for task, suite in get_suites(variant).items():
        main = main_metrics.get(task)
        if main is None or main not in suite["overall"]:
            continue
        values = {make_plain_key(main): round_digits(suite["overall"][main])}
        for name in slices:
            for value, metrics in suite["slices"].get(name, {}).items():
                if main in metrics:
                    key = make_plain_key(f"{main}_{name}_{value}")
                    _add_value(values, key, round_digits(metrics[main]), task)
        _add_value(result, make_plain_key(task), values, "the suites")
    return result


def summarize_judge(suites: Metrics) -> Metrics:
    """Return {suite_pair_dimension_win: share} and {suite_variant_dimension: mean score}."""
    wins = {
        f"{task}_{pair}_{name}_win": values["win"]
        for task, suite in suites.items()
        for pair, part in suite["compared"].items()
        for name, values in part["dimensions"].items()
    }
    scores = {
        f"{task}_{variant}_{name}": values["mean"]
        for task, suite in suites.items()
        for variant, part in suite["scored"].items()
        for name, values in part["dimensions"].items()
    }
    return {make_plain_key(name): value for name, value in {**wins, **scores}.items()}


def summarize_human(suites: Metrics) -> Metrics:
    """Return {suite_variant_dimension: mean rating} and {suite_dimension_alpha: agreement}."""
    rated = {task: suite for task, suite in suites.items() if isinstance(suite, dict)}
    means = {
        f"{task}_{variant}_{name}": metrics["mean"]
        for task, suite in rated.items()
        for variant, dimensions in suite["variants"].items()
        for name, metrics in dimensions.items()
    }
    alphas = {
        f"{task}_{name}_alpha": metrics["alpha"]
        for task, suite in rated.items()
        for name, metrics in suite["agreement"].items()
        if "alpha" in metrics
    }
    return {make_plain_key(name): value for name, value in {**means, **alphas}.items()}


def summarize_leaks(suites: Metrics) -> Metrics:
    """Return {variant_kind: share of all generated answers that leak}."""
    totals: dict[str, tuple[int, int]] = {}
    for by_kind in suites.values():
        for kind, values in by_kind.items():
            for variant, part in values["variants"].items():
                leaks, records = totals.get(f"{variant}_{kind}", (0, 0))
                totals[f"{variant}_{kind}"] = (leaks + part["leaks"], records + part["records"])
    return {name: round_digits(leaks / records) for name, (leaks, records) in totals.items()}


def summarize_forgetting(forgetting: Metrics) -> Metrics:
    """Return {"forgetting": {suite: loss on records of earlier rounds}}, with their average."""
    values: Metrics = {}
    for task, part in forgetting.get(OLD, {}).items():
        _add_value(values, make_plain_key(task), compute_loss(part)[0], "forgetting")
    if "average" in forgetting:
        _add_value(values, "average", forgetting["average"]["forgetting"], "forgetting")
    return {"forgetting": values} if values else {}


def make_plain_key(name: str) -> str:
    """Return a name in [a-z0-9_], which DVC shows best; other letters become code points."""
    ascii_only = re.sub(r"[^\x00-\x7f]", lambda c: f"_u{ord(c.group()):x}", name.lower())
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")


def _add_value(values: Metrics, name: str, value: Any, where: str) -> None:
    """Add a value under a new name; raise UserError if the name is in use."""
    if name in values:
        raise UserError(
            f"reports/metrics.json: two metrics of {where} would be named {name}; rename a task "
            "or a slice value in the data"
        )
    values[name] = value
