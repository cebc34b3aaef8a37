"""The list of all rules, in the order in which their advice is shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lockstep.reporting.advice import data_rules, method_rules, training_rules
from lockstep.reporting.advice.advice_item import Advice, RunResults
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.details import Metrics

RULES: tuple[Callable[[RunResults], Iterator[Advice]], ...] = (
    method_rules.advise_on_forgetting,
    method_rules.advise_on_losses,
    method_rules.advise_on_prompting,
    training_rules.advise_on_fit,
    training_rules.advise_on_epochs,
    training_rules.advise_on_rate,
    training_rules.advise_on_length,
    data_rules.advise_on_slices,
    data_rules.advise_on_labels,
    data_rules.advise_on_confusions,
    data_rules.advise_on_refusals,
    method_rules.advise_on_robustness,
    method_rules.advise_on_domain,
    method_rules.advise_on_retrieval,
    method_rules.advise_on_quantization,
    data_rules.advise_on_rows,
    data_rules.advise_on_test_size,
)
"""Limits of the method come first, then training, data, and the measurement itself."""


def collect_advice(
    results: EvaluationResults,
    summaries: Mapping[str, Metrics],
    log: Sequence[Mapping[str, Any]],
    settings: Metrics,
) -> list[Advice]:
    """Return the advice of all rules that fire; the arguments are those of the report page."""
    run = RunResults(results=results, summaries=summaries, log=log, settings=settings)
    return [advice for rule in RULES for advice in rule(run)]
