"""Evaluation results of one suite, `intent`, that the tests of the report share."""

from typing import Any

from lockstep.predictions import STEPS, VARIANTS
from lockstep.reporting.evaluation_results import Differences, EvaluationResults
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference


def make_differences(tuning: float = 0.001, quantization: float = 0.001) -> Differences:
    """Return a difference in the accuracy of intent for both steps, with these p-values."""
    return {
        step: {
            "intent": {
                "accuracy": Difference(
                    records=100,
                    value=0.1,
                    interval=Interval(0, 1),
                    p=p,
                    p_adjusted=p,
                    detectable=0.1,
                )
            }
        }
        for step, p in zip(STEPS, (tuning, quantization), strict=True)
    }


def make_results(
    accuracies: tuple[float | None, float | None, float | None],
    differences: Differences | None = None,
    split_gaps: dict[str, Any] | None = None,
    **suite: Any,
) -> EvaluationResults:
    """Return the results of three variants that differ in accuracy alone; None: undefined."""
    variants: dict[str, Any] = {
        variant: {
            "intent": {
                "records": 100,
                "overall": {} if accuracy is None else {"accuracy": accuracy},
                "slices": {},
                "intervals": {},
                **suite,
            },
            "perplexity": 2.0,
            "intervals": {},
        }
        for variant, accuracy in zip(VARIANTS, accuracies, strict=True)
    }
    details = {**variants, "split_gaps": split_gaps or {}, "domains": {},
               "few_shot": {}, "leaks": {}, "lm_eval": {"merged": {}}}  # fmt: skip
    return EvaluationResults(
        details=details,
        variants=variants,
        differences=make_differences() if differences is None else differences,
        gates=[],
    )
