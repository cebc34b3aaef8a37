"""The verdict: whether the model should ship, and what tuning and quantization changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.metrics.metric_display import describe_metric, sort_metrics
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.predictions import VARIANTS
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import describe_doubt, name_subject
from lockstep.reporting.texts import Text, say, translate_term
from lockstep.statistics.details import Metrics

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the model should ship, and why."""

    title: Text
    """ship, do not ship, or no difference shown."""
    judgement: str
    """better, worse or same."""
    reason: Text


def decide(results: EvaluationResults) -> Decision:
    """Decide by the gates, and then by the main metric of the first suite.

    A change counts if chance does not explain it.
    """
    outcomes = [outcome for _, outcome in results.gates if outcome is not None]
    failed = sum(not outcome.passed for outcome in outcomes)
    if failed:
        reason = say("{count} of {gates} gates failed.", count=failed, gates=len(outcomes))
        return Decision(title=say("Do not ship"), judgement="worse", reason=reason)
    for task, suite in results.suites.items():
        for name in sort_metrics(suite["overall"])[:1]:
            return _decide_by_metric(results, task, name)
    return _decide_by_metric(results, PERPLEXITY, PERPLEXITY)


def _decide_by_metric(results: EvaluationResults, task: str, name: str) -> Decision:
    subject = translate_term(name) if task == name else name_subject(task, name)
    test = results.differences["tuning"].get(task, {}).get(name)
    if test is None or test.could_be_chance:
        reason = say("The change of {subject} by tuning could be chance.", subject=subject)
        return Decision(title=say("No difference shown"), judgement="same", reason=reason)
    if (test.value > 0) == describe_metric(name).lower_is_better:
        reason = say(
            "Tuning makes {subject} worse, and chance does not explain it.", subject=subject
        )
        return Decision(title=say("Do not ship"), judgement="worse", reason=reason)
    gates = say("every gate is met") if results.gates else say("no gate is set")
    reason = say(
        "Tuning improves {subject} by more than chance explains, and {gates}.",
        subject=subject,
        gates=gates,
    )
    return Decision(title=say("Ship"), judgement="better", reason=reason)


def write_headline(results: EvaluationResults, quantized: Metrics) -> Text:
    """Return one sentence on the main metric of the first suite, or on perplexity without one.

    `quantized` is the summary of quantize.
    """
    for task, suite in results.suites.items():
        for name in sort_metrics(suite["overall"])[:1]:
            values = [results.variants[v][task]["overall"].get(name) for v in VARIANTS]
            subject = name_subject(task, name)
            return _write_headline(results, quantized, task, name, subject, values)
    name = "perplexity"
    values = [results.variants[variant].get(name) for variant in VARIANTS]
    return _write_headline(results, quantized, name, name, translate_term(name), values)


def _write_headline(
    results: EvaluationResults,
    quantized: Metrics,
    task: str,
    name: str,
    subject: Text,
    values: Sequence[float | None],
) -> Text:
    display = describe_metric(name)
    before, merged, after = values
    if merged is None:
        tuning = say("Nothing was measured")
    else:
        tuning = _describe_tuning(results, task, name, subject, before, merged)
    if merged is None or after is None:
        quantization = describe_quantization(None, False, quantized, "")
        return say("{tuning}; {quantization}.", tuning=tuning, quantization=quantization)
    difference = display.compute_change(merged, after)
    gain = -difference if display.lower_is_better else difference
    doubt = describe_doubt(results.differences["quantization"], task, name) if difference else ""
    quantization = describe_quantization(gain, display.percent, quantized, doubt)
    return say("{tuning}; {quantization}.", tuning=tuning, quantization=quantization)


def _describe_tuning(
    results: EvaluationResults,
    task: str,
    name: str,
    subject: Text,
    before: float | None,
    merged: float,
) -> Text:
    display = describe_metric(name)
    after = display.format(merged)
    if before is None:
        return say("Tuning brings {subject} to {after}", subject=subject, after=after)
    if display.compute_change(before, merged) == 0:
        return say("Tuning leaves {subject} at {after}", subject=subject, after=after)
    message = (
        "Tuning raises {subject} from {before} to {after}{doubt}"
        if merged > before
        else "Tuning lowers {subject} from {before} to {after}{doubt}"
    )
    doubt = describe_doubt(results.differences["tuning"], task, name)
    return say(message, subject=subject, before=display.format(before), after=after, doubt=doubt)


def describe_quantization(
    gain: float | None, percent: bool, quantized: Metrics, doubt: str
) -> Text:
    """Describe what quantization costs in quality and saves in bytes."""
    saved = 1 - quantized["bytes_after"] / quantized["bytes_before"]
    room = say("saves no bytes")
    if saved > 0:
        room = say("saves {share} of the bytes", share=f"{saved:.0%}")
    elif saved < 0:
        room = say("takes {share} more bytes", share=f"{-saved:.0%}")
    form = translate_term(FORMS[quantized["method"]])
    if gain is None:
        return say("{form} {room}", form=form, room=room)
    size = say("{size} points", size=f"{abs(gain):g}") if percent else f"{abs(gain):g}"
    price = say("costs nothing")
    if gain:
        price = say("gains {size}", size=size) if gain > 0 else say("costs {size}", size=size)
    return say("{form} {price}{doubt} and {room}", form=form, price=price, doubt=doubt, room=room)
