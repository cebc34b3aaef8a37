"""A run without any fault, which the tests of the rules change in one place."""

from collections.abc import Sequence
from typing import Any

from lockstep.predictions import STEPS, VARIANTS
from lockstep.reporting.advice.advice_item import Advice
from lockstep.reporting.advice.collected_advice import collect_advice
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference

LOSSES = [(100, 0.5, None), (200, 0.4, 0.42), (300, 0.38, 0.41)]
"""Step, training loss and validation loss."""
RISE = (0.3, 0.25, 0.35)
"""A difference and its interval."""
SAME = (0.0, -0.03, 0.03)


def make_difference(
    value: float, low: float, high: float, p: float = 0.0, detectable: float = 0.04
) -> Difference:
    return Difference(
        records=100, value=value, interval=Interval(low, high), p=p, p_adjusted=p,
        detectable=detectable,
    )  # fmt: skip


def make_suite(
    records: int = 100, interval: tuple[float, float] = (0.88, 0.95), **more: Any
) -> dict[str, Any]:
    """Return a suite with an accuracy of 92%."""
    return {
        "records": records,
        "overall": {"accuracy": 0.92},
        "intervals": {"accuracy": [*interval]},
        "slices": {},
        **more,
    }


def advise(
    suites: dict[str, Any] | None = None,
    *,
    log: Sequence[tuple[float, float | None, float | None]] = LOSSES,
    tuning: Difference | None = None,
    quantization: Difference | None = None,
    prepared: dict[str, Any] | None = None,
    trained: dict[str, Any] | None = None,
    augmented: dict[str, Any] | None = None,
    method: str = "nf4",
    train: dict[str, Any] | None = None,
    **details: Any,
) -> list[Advice]:
    """Return the advice on a run without a fault, apart from the arguments."""
    variant = {**(suites or {"intent": make_suite()}), "perplexity": 2.0, "intervals": {}}
    steps = (tuning or make_difference(*RISE), quantization or make_difference(*SAME, p=0.9))
    results = EvaluationResults(
        details={
            "few_shot": {},
            "domains": {},
            "split_gaps": {"base": {}, "merged": {}},
            **details,
        },
        variants=dict.fromkeys(VARIANTS, variant),
        differences={
            step: {"intent": {"accuracy": test}} for step, test in zip(STEPS, steps, strict=True)
        },
        gates=[],
    )
    rows = {"read": 1000, "kept": 950, "rejected": 10, "duplicates": 40, "removed": 0}
    summaries = {
        "prepared": {
            "rows": rows, "rejected": {"empty_output": 10}, "labels": {},
            "splits": {"train": {"slices": {"language": {"en": 700, "zh": 9}}}}, **(prepared or {}),
        },
        "trained": {"rows": 700, "rows_truncated": 0, **(trained or {})},
        "augmented": augmented or {},
        "quantized": {"method": method},
    }  # fmt: skip
    settings = {
        "epochs": 3.0, "learning_rate": 1e-3, "max_length": 256, "strategy": "lora", **(train or {})
    }  # fmt: skip
    rows_of_log = [
        {"step": step, "loss": loss, "validation_loss": validation}
        for step, loss, validation in log
    ]
    return collect_advice(results, summaries, rows_of_log, {"train": settings})


def list_rules(*arguments: Any, **changes: Any) -> list[str]:
    """Return the names of the rules that fire."""
    return [item.rule for item in advise(*arguments, **changes)]
