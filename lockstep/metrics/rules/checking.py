"""Check the rules of a reference, such as the length or the language of the answer.

This follows IFEval (Zhou et al., 2023) and its four metrics. The reference of a record is the JSON
list of its rules: our own ones, which work for English and Chinese, and those of IFEval, whose
names have a colon.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lockstep.metrics.aggregation import Numbers
from lockstep.metrics.rules.rule_list import parse_rules
from lockstep.predictions import Prediction


def check_rules(reference: str, prediction: str) -> list[bool]:
    """Return whether each rule is met, in order; an empty answer meets none (IFEval)."""
    return [bool(prediction.strip()) and rule.is_met(prediction) for rule in parse_rules(reference)]


def check_rules_loosely(reference: str, prediction: str) -> list[bool]:
    """Return whether each rule is met by one of IFEval's variants of the answer.

    The variants lack the first line, the last line or both, since these lines often frame the
    answer. Each variant, and the answer itself, is also tried without asterisks.
    """
    lines = prediction.split("\n")
    inner_lines = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    variants = [prediction, *inner_lines]
    variants += [variant.replace("*", "") for variant in variants]
    by_variant = [check_rules(reference, variant) for variant in dict.fromkeys(variants)]
    return [any(rule) for rule in zip(*by_variant, strict=True)]


def all_followed(reference: str, prediction: str) -> float:
    """Return 1 if every rule is met: IFEval's strict prompt-level accuracy."""
    return float(all(check_rules(reference, prediction)))


def all_followed_loosely(reference: str, prediction: str) -> float:
    """Return 1 if every rule is met by a variant: IFEval's loose prompt-level accuracy."""
    return float(all(check_rules_loosely(reference, prediction)))


def count_rules(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of IFEval's strict instruction-level accuracy: (rules met, rules)."""
    return _count_met(check_rules, predictions)


def count_rules_loosely(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of IFEval's loose instruction-level accuracy: (rules met, rules)."""
    return _count_met(check_rules_loosely, predictions)


def _count_met(
    check: Callable[[str, str], list[bool]], predictions: Sequence[Prediction]
) -> Numbers:
    """Return (rules met, rules) of each record, (records, 2)."""
    results = [check(row.reference, row.prediction) for row in predictions]
    return np.array([(sum(is_met), len(is_met)) for is_met in results], dtype=float)
