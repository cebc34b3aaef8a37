"""The page and the model card: what their templates need, and how they are rendered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from stages.pages import comparison, curve, examples, training, verdict
from stages.pages.measures import Measure, in_order, measure, size, words
from stages.pages.results import VARIANTS, Figures, Prediction, suites

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
    change: str = ""
    judgement: str = ""
    """better, worse, same or chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A section of the page's tables and examples."""

    task: str
    records: int
    rows: list[tuple[Measure, list[Cell]]]
    tuning: comparison.Change
    quantization: comparison.Change
    examples: list[tuple[examples.Outcome, Prediction]]
    graded: bool
    """Free text, more or less close to what is expected."""
    wide: bool
    """Answers too long to stand four side by side."""
    confusion: dict[str, dict[str, int]] | None


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
    environment.filters.update(clip=clip, markdown=markdown, size=size, words=words)
    return environment.get_template(name).render(values)


def values(
    variants: dict[str, Figures],
    rows: Sequence[Prediction],
    log: Sequence[dict[str, Any]],
    facts: dict[str, Figures],
    number: int,
) -> dict[str, Any]:
    """What both templates may use; `facts` are the other stages' own summaries, by stage."""
    parts = verdict.slices(variants)
    return {
        **facts,
        "variants": VARIANTS,
        "headline": verdict.headline(variants, facts["quantize"], rows),
        "concerns": verdict.concerns(variants, rows, log, facts["trained"]),
        "suites": [suite(task, variants, rows, number) for task in suites(variants["merged"])],
        "perplexity": (
            cells("perplexity", [variants[v]["perplexity"] for v in VARIANTS], None)
            if all("perplexity" in variants[v] for v in VARIANTS)
            else None
        ),
        "slices": [
            (part, cells(part.measure, list(part.figures.values()), None)) for part in parts
        ],
        "weakest": verdict.weakest(parts),
        "measure": measure,
        "mistakes": comparison.mistakes,
        "thousands": "{:,}".format,
        "most_labels": MOST_LABELS,
        "most_mistakes": MOST_MISTAKES,
        "bits": verdict.BITS[facts["quantize"]["method"]],
        "curve": curve.draw(log),
        "training": training.settings(facts["settings"]["train"], facts["settings"]["strategies"]),
        "loader": training.loader(facts["trained"]["objective"]),
    }


def suite(
    task: str, variants: dict[str, Figures], rows: Sequence[Prediction], number: int
) -> Suite:
    """Everything the page says of one suite."""
    figures = variants["merged"][task]
    own = [row for row in rows if row.task == task]
    lengths = [len(row.expected) for row in own]
    graded = "rouge_l" in figures["overall"]
    tuning = comparison.changes(own, "base", "merged")
    quantization = comparison.changes(own, "merged", "quantized")
    table: list[tuple[Measure, list[Cell]]] = []
    for name in in_order(figures["overall"]):
        numbers = [variants[v][task]["overall"][name] for v in VARIANTS]
        tests = (tuning, quantization) if not table else None  # they compare the main measure
        table.append((measure(name), cells(name, numbers, tests)))
    return Suite(
        task=task,
        records=figures["records"],
        rows=table,
        tuning=tuning,
        quantization=quantization,
        examples=examples.choose(own, number, graded),
        graded=graded,
        wide=max(lengths, default=0) > ROOMY,
        confusion=figures.get("confusion"),
    )


def cells(
    name: str,
    numbers: Sequence[float],
    tests: tuple[comparison.Change, comparison.Change] | None,
) -> list[Cell]:
    """One cell for each variant; `tests` say which changes could be chance."""
    own = measure(name)
    result = []
    for index, (variant, value) in enumerate(zip(VARIANTS, numbers, strict=True)):
        before = numbers[index - 1] if index else value
        change = tests[index - 1] if tests and index else None
        result.append(
            Cell(
                variant=variant,
                text=own.show(value),
                bar=round(100 * min(1.0, max(0.0, value / own.top)), 1) if own.top else None,
                change=own.change(before, value) if index else "",
                judgement=_judge(own, before, value, change) if index else "",
            )
        )
    return result


def clip(text: str) -> str:
    """The beginning of a long text, and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def markdown(text: str) -> Markup:
    """Text that Markdown shows as it is within a line, HTML included."""
    return Markup(re.sub(r"([\\`*_\[\]|~])", r"\\\1", str(escape(text))))  # noqa: S704


def _judge(own: Measure, before: float, after: float, change: comparison.Change | None) -> str:
    if own.difference(before, after) == 0:
        return "same"
    if change and change.could_be_chance:
        return "chance"
    return "better" if own.is_better(before, after) else "worse"
