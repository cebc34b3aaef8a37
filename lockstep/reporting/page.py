"""The page and the model card: what their templates need, and how they are rendered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lockstep.metrics.registry import LIKELIHOOD
from lockstep.metrics.suite_metrics import OVERALL
from lockstep.reporting import (
    comparison,
    examples,
    gate_conditions,
    loss_curve,
    split_gaps,
    training_settings,
    verdict,
)
from lockstep.reporting.metric_display import Measure, in_order, measure, size, words
from lockstep.reporting.stage_results import STEPS, VARIANTS, Figures, Prediction, suites
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.gates import Gate, Outcome, decide
from lockstep.statistics.paired_tests import Difference

LONGEST = 600
"""Characters of a text that an example shows."""
MOST_LABELS = 40
"""A confusion matrix of more labels than that nobody reads."""
MOST_MISTAKES = 8
ROOMY = 24
"""Characters of an answer of which four fit side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One figure of one variant, and its change from the variant before."""

    variant: str
    text: str
    bar: float | None
    """0 to 100, where the measure has a best value."""
    interval: str = ""
    """Of 95%."""
    change: str = ""
    judgement: str = ""
    """better, worse, same, chance, or untested."""
    told: str = ""
    """What the test of the change says, for who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A section of the page's tables and examples."""

    task: str
    records: int
    rows: list[tuple[Measure, list[Cell]]]
    steps: dict[str, comparison.Change]
    """By tuning and quantization."""
    examples: list[tuple[examples.Outcome, Prediction]]
    graded: bool
    """Free text, more or less close to what is expected."""
    wide: bool
    """Answers too long to stand four side by side."""
    confusion: dict[str, dict[str, int]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """How sure the figures are, and whether the gates are kept."""

    intervals: dict[str, dict[str, dict[str, Interval]]]
    """variant -> suite -> figure"""
    differences: comparison.Differences
    gates: list[tuple[Gate, Outcome | None]]
    """None where the previous commit decides."""


def prove(evidence: Evidence, gates: Sequence[Gate]) -> Proven:
    """All that the page says of chance."""
    return Proven(
        intervals={name: evidence.intervals(name) for name in VARIANTS},
        differences=comparison.differences(evidence),
        gates=[
            (gate, None if gate.against == "previous" else decide(gate, evidence)) for gate in gates
        ],
    )


def render(name: str, values: dict[str, Any]) -> str:
    """A template of this folder with everything in it escaped; an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        clip=clip, markdown=markdown, percent="{:.1%}".format, size=size, words=words
    )
    return environment.get_template(name).render(values)


def values(
    variants: dict[str, Figures],
    rows: Sequence[Prediction],
    log: Sequence[dict[str, Any]],
    facts: dict[str, Figures],
    proven: Proven,
    fit: Sequence[split_gaps.Line],
    number: int,
) -> dict[str, Any]:
    """What both templates may use; `facts` are the other stages' own summaries, by stage."""
    parts = verdict.slices(variants)
    return {
        **facts,
        "variants": VARIANTS,
        "headline": verdict.headline(variants, facts["quantize"], proven.differences),
        "gates": [
            (gate_conditions.condition(gate), outcome and gate_conditions.finding(outcome), outcome)
            for gate, outcome in proven.gates
        ],
        "concerns": [
            *gate_conditions.failures(outcome for _, outcome in proven.gates),
            *verdict.concerns(
                variants, proven.differences, log, facts["trained"], facts["prepared"]
            ),
            *split_gaps.concerns(fit),
        ],
        "suites": [
            suite(task, variants, rows, proven, number) for task in suites(variants["merged"])
        ],
        "likelihood": [
            (measure(name), cells(OVERALL, name, [variants[v][name] for v in VARIANTS], proven))
            for name in LIKELIHOOD
            if all(name in variants[v] for v in VARIANTS)
        ],
        "slices": [
            (part, cells(part.task, part.measure, list(part.figures.values()))) for part in parts
        ],
        "weakest": verdict.weakest(parts),
        "harness": [
            (task, name, [variants[v]["harness"][task].get(name) for v in VARIANTS])
            for task, figures in variants["merged"].get("harness", {}).items()
            for name in figures
        ],
        "fit": fit,
        "stability": [
            (task, name, [variants[v][task]["stability"][name] for v in VARIANTS])
            for task, figures in suites(variants["merged"]).items()
            for name in figures.get("stability", {})
        ],
        "measure": measure,
        "mistakes": comparison.mistakes,
        "never_expected": comparison.never_expected,
        "thousands": "{:,}".format,
        "most_labels": MOST_LABELS,
        "most_mistakes": MOST_MISTAKES,
        "bits": verdict.BITS[facts["quantize"]["method"]],
        "curve": loss_curve.draw(log),
        "training": training_settings.settings(
            facts["settings"]["train"], facts["settings"]["strategies"]
        ),
        "loader": training_settings.loader(facts["trained"]["objective"]),
    }


def suite(
    task: str,
    variants: dict[str, Figures],
    rows: Sequence[Prediction],
    proven: Proven,
    number: int,
) -> Suite:
    """Everything the page says of one suite."""
    figures = variants["merged"][task]
    own = [row for row in rows if row.task == task]
    lengths = [len(row.reference) for row in own]
    graded = "rouge_l" in figures["overall"]
    return Suite(
        task=task,
        records=figures["records"],
        rows=[
            (measure(name), cells(task, name, numbers, proven))
            for name in in_order(figures["overall"])
            for numbers in [[variants[v][task]["overall"][name] for v in VARIANTS]]
        ],
        steps={step: comparison.changes(own, *pair) for step, pair in STEPS.items()},
        examples=examples.choose(own, number, graded),
        graded=graded,
        wide=max(lengths, default=0) > ROOMY,
        confusion=figures.get("confusion"),
    )


def cells(
    task: str, name: str, numbers: Sequence[float], proven: Proven | None = None
) -> list[Cell]:
    """One cell for each variant; where it is known, how sure the figure and its change are."""
    own, steps = measure(name), [None, *STEPS]
    result = []
    for index, (variant, value) in enumerate(zip(VARIANTS, numbers, strict=True)):
        step, before = steps[index], numbers[index - 1] if index else value
        ends = proven.intervals[variant].get(task, {}).get(name) if proven else None
        test = proven.differences[step].get(task, {}).get(name) if proven and step else None
        result.append(
            Cell(
                variant=variant,
                text=own.show(value),
                bar=round(100 * min(1.0, max(0.0, value / own.top)), 1) if own.top else None,
                interval=f"{own.show(ends.low)} – {own.show(ends.high)}" if ends else "",
                change=own.change(before, value) if index else "",
                judgement=_judge(own, before, value, test) if index else "",
                told=_told(own, test) if test else "",
            )
        )
    return result


def clip(text: str) -> str:
    """The beginning of a long text, and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def markdown(text: str) -> Markup:
    """Text that Markdown shows as it is within a line, HTML included."""
    return Markup(re.sub(r"([\\`*_\[\]|~])", r"\\\1", str(escape(text))))  # noqa: S704


def _judge(own: Measure, before: float, after: float, test: Difference | None) -> str:
    if own.difference(before, after) == 0:
        return "same"
    if test is None:
        return "untested"
    if test.could_be_chance:
        return "chance"
    return "better" if own.is_better(before, after) else "worse"


def _told(own: Measure, test: Difference) -> str:
    ends = f"{own.step(test.interval.low)} to {own.step(test.interval.high)}"
    least = ""
    if test.detectable is not None:
        least = f"; alone, so many records show {own.step(test.detectable).lstrip('+')} or more"
    return f"95% interval of the change: {ends}; p {test.adjusted:.2g}, corrected{least}"
