"""metrics.json: the few numbers by which a reviewer compares two commits."""

import re
from collections.abc import Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics.suite_metrics import OVERALL
from lockstep.reporting.metric_display import in_order
from lockstep.reporting.stage_results import Figures, suites


def metrics(
    variants: dict[str, Figures], facts: dict[str, Figures], slices: Sequence[str]
) -> Figures:
    """The numbers that `dvc metrics diff` compares: few, rounded, all finite."""
    rows, splits = facts["prepared"]["rows"], facts["prepared"]["splits"]
    trained, quantize = facts["trained"], facts["quantize"]
    return {
        **{name: by_suite(variant, slices) for name, variant in variants.items()},
        "data": {
            **{name: split["records"] for name, split in splits.items()},
            "rejected": rows["rejected"],
            "duplicates": rows["duplicates"],
            "augmented": facts["augmented"]["children"],
        },
        "train": {
            "loss": significant(trained["loss"]),
            "validation_loss": significant(trained["validation_loss"]),
            "trained_share": significant(trained["trained_parameters"] / trained["parameters"]),
        },
        "merge": {"largest_logit_difference": facts["merge"]["largest_logit_difference"]},
        **({"judge": judged(facts["judged"])} if facts["judged"] else {}),
        **({"human": rated(facts["human"])} if facts["human"] else {}),
        "quantize": {
            "bytes": quantize["bytes_after"],
            "ratio": significant(quantize["bytes_after"] / quantize["bytes_before"]),
        },
    }


def by_suite(variant: Figures, slices: Sequence[str]) -> Figures:
    """{suite: {metric: number}}: the main figure alone, by these slices as well; details.json has
    all figures."""
    result: Figures = {}
    if OVERALL in variant:
        result[OVERALL] = {"overall": significant(variant[OVERALL])}
    for task, suite in suites(variant).items():
        if not suite["overall"]:
            continue
        main = in_order(suite["overall"])[0]
        own = {key(main): significant(suite["overall"][main])}
        for name in slices:
            for value, part in suite["slices"].get(name, {}).items():
                if main not in part:
                    continue
                _add(own, key(f"{main}_{name}_{value}"), significant(part[main]), task)
        _add(result, key(task), own, "the suites")
    return result


def judged(suites: Figures) -> Figures:
    """{suite_pair_dimension_win: share} and {suite_variant_dimension: mean score}."""
    found = {
        f"{task}_{pair}_{name}_win": own["win"]
        for task, suite in suites.items()
        for pair, part in suite["compared"].items()
        for name, own in part["dimensions"].items()
    }
    found |= {
        f"{task}_{variant}_{name}": own["mean"]
        for task, suite in suites.items()
        for variant, part in suite["scored"].items()
        for name, own in part["dimensions"].items()
    }
    return {key(name): value for name, value in found.items()}


def rated(suites: Figures) -> Figures:
    """{suite_variant_dimension: mean rating} and {suite_dimension_alpha: agreement}."""
    own = {task: suite for task, suite in suites.items() if isinstance(suite, dict)}
    found = {
        f"{task}_{variant}_{name}": figures["mean"]
        for task, suite in own.items()
        for variant, parts in suite["variants"].items()
        for name, figures in parts.items()
    }
    found |= {
        f"{task}_{name}_alpha": figures["alpha"]
        for task, suite in own.items()
        for name, figures in suite["agreement"].items()
        if "alpha" in figures
    }
    return {key(name): value for name, value in found.items()}


def key(name: str) -> str:
    """A name in [a-z0-9_], as metrics.json wants its keys; other scripts become code points."""
    ascii_only = re.sub(r"[^\x00-\x7f]", lambda c: f"_u{ord(c.group()):x}", name.lower())
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")


def significant(number: float, digits: int = 5) -> float:
    """Rounded to significant digits: enough to compare by, and a diff stays readable."""
    return float(f"{number:.{digits}g}")


def _add(values: Figures, name: str, value: Any, where: str) -> None:
    if name in values:
        raise UserError(
            f"metrics.json: two figures of {where} are named {name}; rename one in data"
        )
    values[name] = value
