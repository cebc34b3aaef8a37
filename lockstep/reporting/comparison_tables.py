"""Tables and sentences on domains, few-shot baselines, leaks, entities, robustness and lm-eval."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockstep import multiple_testing
from lockstep.metrics.metric_display import MetricDisplay, describe_metric
from lockstep.predictions import STEPS, VARIANTS
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import (
    format_difference,
    format_interval,
    name_subject,
    name_task,
)
from lockstep.reporting.texts import Text, capitalize, say, translate_term
from lockstep.statistics.details import Metrics
from lockstep.statistics.domain_gap import IN_DOMAIN, OUT_OF_DOMAIN

LEAKS = {
    "personal_data": "personal data",
    "training_text": "training text word by word",
}
"""Kind of leak -> its name in sentences and tables."""
DOMAINS = {IN_DOMAIN: "in the domain", OUT_OF_DOMAIN: "out of the domain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """A value with a line of small print."""

    text: str | Text
    small: str | Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A row with a cell for each column."""

    title: Text
    records: int
    cells: list[TableCell]


Table = list[tuple[Text, list[TableRow]]]
"""Groups of rows, each with its heading."""


def collect_tables(results: EvaluationResults) -> dict[str, Any]:
    """Return the values of the page's templates; a table without rows is []."""
    return {
        "domains": build_domain_table(results),
        "few_shot": build_few_shot_table(results),
        "leaks": build_leak_table(results),
        "entities": build_entity_table(results),
        "robustness": collect_robustness(results),
        "lm_eval": collect_lm_eval(results),
        "findings": [
            *_describe_few_shot(results),
            *_describe_domains(results),
            *_describe_leaks(results),
        ],
    }


def build_domain_table(results: EvaluationResults) -> Table:
    """Return for each suite the metric in and out of the domain, and the difference."""
    domains = results.details["domains"]
    table: Table = []
    for task, merged in domains.get("merged", {}).items():
        display = describe_metric(merged["metric"])
        gaps = [domains[variant].get(task) for variant in VARIANTS]
        rows = [
            TableRow(
                title=translate_term(title),
                records=merged[domain]["records"],
                cells=[_build_domain_cell(display, gap and gap[domain]) for gap in gaps],
            )
            for domain, title in DOMAINS.items()
        ]
        differences = [build_difference_cell(display, gap) for gap in gaps]
        rows.append(TableRow(title=translate_term("difference"), records=0, cells=differences))
        table.append((capitalize(name_subject(task, merged["metric"])), rows))
    return table


def build_few_shot_table(results: EvaluationResults) -> Table:
    """Return the base with examples, the tuned model without, and the difference."""
    rows = []
    for suite, values in results.details["few_shot"].items():
        display = describe_metric(values["metric"])
        base, tuned = _get_few_shot_values(results, suite, values)
        cells = [
            TableCell(text=display.format(base)),
            TableCell(text=display.format(tuned)),
            build_difference_cell(display, values),
        ]
        title = name_subject(suite, values["metric"])
        rows.append(TableRow(title=title, records=values["records"], cells=cells))
    return [(Text("", ""), rows)] if rows else []


def build_leak_table(results: EvaluationResults) -> Table:
    """Return for each kind of leak the suites with leaking answers of any variant."""
    table: Table = []
    for kind, title in LEAKS.items():
        by_suite = {
            task: by_kind[kind]["variants"]
            for task, by_kind in results.details["leaks"].items()
            if kind in by_kind
        }
        rows = [
            TableRow(
                title=name_task(task),
                records=variants["merged"]["records"],
                cells=[_build_leak_cell(variants[variant]) for variant in VARIANTS],
            )
            for task, variants in by_suite.items()
            if any(values["leaks"] for values in variants.values())
        ]
        if by_suite and not rows:
            records = sum(variants["merged"]["records"] for variants in by_suite.values())
            none = [TableCell(text=translate_term("none"))] * len(VARIANTS)
            rows = [TableRow(title=translate_term("all suites"), records=records, cells=none)]
        if rows:
            table.append((capitalize(translate_term(title)), rows))
    return table


def build_entity_table(results: EvaluationResults) -> Table:
    """Return for each suite with metrics of entities the F1 of each type."""
    table: Table = []
    for task, suite in results.suites.items():
        types = suite.get("entities", {})
        rows = [
            TableRow(
                title=Text(name, name),
                records=types[name]["reference"],
                cells=[
                    _build_entity_cell(results.variants[variant][task]["entities"].get(name))
                    for variant in VARIANTS
                ],
            )
            for name in sorted(types)
        ]
        if rows:
            table.append((capitalize(name_task(task)), rows))
    return table


def collect_robustness(results: EvaluationResults) -> list[tuple[str, list[Any]]]:
    """Return (suite, [(perturbation, robustness of each variant)]), `overall` first."""
    return [
        (
            task,
            [
                (
                    kind,
                    [results.variants[variant][task]["robustness"][kind] for variant in VARIANTS],
                )
                for kind in sorted(metrics["robustness"], key=lambda kind: kind != "overall")
            ],
        )
        for task, metrics in results.suites.items()
        if "robustness" in metrics
    ]


def collect_lm_eval(results: EvaluationResults) -> list[tuple[str, list[Any]]]:
    """Return (task of lm-eval, [(metric, value of each variant)])."""
    by_variant = results.details["lm_eval"]
    return [
        (task, [(name, [by_variant[v][task].get(name) for v in VARIANTS]) for name in metrics])
        for task, metrics in by_variant["merged"].items()
    ]


def list_concerns(results: EvaluationResults) -> Iterator[Text]:
    """Yield a sentence for each rise of leaks, and for each proven loss out of the domain.

    A rise by quantization counts if chance does not explain it.
    """
    for task, by_kind in results.details["leaks"].items():
        for kind, values in by_kind.items():
            for step, (before, after) in STEPS.items():
                old, new = (values["variants"][variant]["leaks"] for variant in (before, after))
                is_chance = values["changes"][step]["p_adjusted"] >= multiple_testing.LEVEL
                if new > old and not (step == "quantization" and is_chance):
                    records = values["variants"][after]["records"]
                    yield say(
                        "More answers of {task} contain {kind} after {step}: {old} of {records} "
                        "before, {new} after{doubt}.",
                        task=name_task(task),
                        kind=translate_term(LEAKS[kind]),
                        step=translate_term(step),
                        old=f"{old:,}",
                        records=f"{records:,}",
                        new=f"{new:,}",
                        doubt=say(" (which could be chance)") if is_chance else "",
                    )
    for task, gap in results.details["domains"].get("merged", {}).items():
        display = describe_metric(gap["metric"])
        inside, outside = gap[IN_DOMAIN]["value"], gap[OUT_OF_DOMAIN]["value"]
        if gap["p_adjusted"] < multiple_testing.LEVEL and display.is_better(outside, inside):
            yield capitalize(
                say(
                    "{subject} is worse out of the domain: {outside}, compared with {inside} in "
                    "it.",
                    subject=name_subject(task, gap["metric"]),
                    outside=display.format(outside),
                    inside=display.format(inside),
                )
            )


def _describe_few_shot(results: EvaluationResults) -> Iterator[Text]:
    for suite, values in results.details["few_shot"].items():
        display = describe_metric(values["metric"])
        base, tuned = map(display.format, _get_few_shot_values(results, suite, values))
        yield capitalize(
            say(
                "{suite}: with examples in the prompt the base reaches {base} {metric}; the tuned "
                "model reaches {tuned} without them.",
                suite=name_task(suite),
                base=base,
                metric=translate_term(display.title),
                tuned=tuned,
            )
        )


def _describe_domains(results: EvaluationResults) -> Iterator[Text]:
    for task, gap in results.details["domains"].get("merged", {}).items():
        display = describe_metric(gap["metric"])
        inside, outside = (display.format(gap[domain]["value"]) for domain in DOMAINS)
        yield capitalize(
            say(
                "{subject} of the tuned model is {inside} in the domain and {outside} out of it.",
                subject=name_subject(task, gap["metric"]),
                inside=inside,
                outside=outside,
            )
        )


def _describe_leaks(results: EvaluationResults) -> Iterator[Text]:
    for kind, title in LEAKS.items():
        parts = [
            by_kind[kind]["variants"]["quantized"]
            for by_kind in results.details["leaks"].values()
            if kind in by_kind
        ]
        if parts:
            leaks, records = (sum(part[name] for part in parts) for name in ("leaks", "records"))
            yield say(
                "{leaks} of {records} generated answers of the quantized model contain {kind} that "
                "neither prompt nor reference has.",
                leaks=f"{leaks:,}",
                records=f"{records:,}",
                kind=translate_term(title),
            )


def _get_few_shot_values(
    results: EvaluationResults, suite: str, values: Metrics
) -> tuple[float, float]:
    """Return the metric of the base with examples and of the tuned model without."""
    metrics = (results.variants["base"][suite], results.variants["merged"][values["task"]])
    base, tuned = (part["overall"][values["metric"]] for part in metrics)
    return base, tuned


def _build_domain_cell(display: MetricDisplay, values: Metrics | None) -> TableCell:
    if not values:
        return TableCell(text="")
    low, high = map(display.format, values["interval"])
    return TableCell(text=display.format(values["value"]), small=f"{low} – {high}")


def build_difference_cell(display: MetricDisplay, values: Metrics | None) -> TableCell:
    """Return a difference with its interval and its corrected p-value in small print."""
    if not values:
        return TableCell(text="")
    small = say(
        "{interval}; p {p}",
        interval=format_interval(display, *values["interval"]),
        p=f"{values['p_adjusted']:.2g}",
    )
    return TableCell(text=format_difference(display, values["difference"]), small=small)


def _build_leak_cell(values: Metrics) -> TableCell:
    low, high = (f"{100 * end:.1f}%" for end in values["interval"])
    return TableCell(
        text=f"{values['leaks']:,} ({100 * values['share']:.1f}%)", small=f"{low} – {high}"
    )


def _build_entity_cell(values: Metrics | None) -> TableCell:
    """Build the cell of a type; a variant that neither has nor predicts it has no values."""
    if not values:
        return TableCell(text="")
    precision, recall, f1 = (f"{100 * values[name]:.1f}%" for name in ("precision", "recall", "f1"))
    small = say("precision {precision}, recall {recall}", precision=precision, recall=recall)
    return TableCell(text=f1, small=small)
