"""Forgetting of earlier rounds and replay of their rows, as the report shows them."""

from collections.abc import Iterator, Mapping

from lockstep import multiple_testing
from lockstep.metrics.metric_display import describe_metric
from lockstep.reporting.comparison_tables import (
    Table,
    TableCell,
    TableRow,
    build_difference_cell,
)
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import format_difference, format_interval, name_subject
from lockstep.reporting.texts import Text, capitalize, say, translate_term
from lockstep.statistics.details import Metrics
from lockstep.statistics.forgetting import NEW, OLD, compute_loss

TITLES = {OLD: "test records of earlier rounds", NEW: "test records of the last round"}


def build_forgetting_table(results: EvaluationResults) -> Table:
    """Return the main metric of each suite on old and on new records: base, tuned, difference."""
    forgetting = results.details.get("forgetting", {})
    return [
        (
            capitalize(translate_term(title)),
            [_build_row(task, values) for task, values in forgetting[part].items()],
        )
        for part, title in TITLES.items()
        if forgetting.get(part)
    ]


def describe_forgetting(results: EvaluationResults) -> Iterator[Text]:
    """Yield the average forgetting, and each suite before and after on old and on new records."""
    forgetting = results.details.get("forgetting", {})
    average = forgetting.get("average")
    if average:
        display = describe_metric("accuracy")  # every metric in the average is a share
        yield say(
            "Forgetting on the test records of earlier rounds: {size}, averaged over "
            "suites ({suites}; 95% interval {interval}); below zero the model became better.",
            size=format_difference(display, average["forgetting"]),
            suites=average["suites"],
            interval=format_interval(display, *average["interval"]),
        )
    for part, title in TITLES.items():
        for task, values in forgetting.get(part, {}).items():
            display = describe_metric(values["metric"])
            yield capitalize(
                say(
                    "{subject} on {records} {kind}: {before} with the base, {after} now "
                    "({interval}; p {p}).",
                    subject=name_subject(task, values["metric"]),
                    records=f"{values['records']:,}",
                    kind=translate_term(title),
                    before=display.format(values["before"]),
                    after=display.format(values["after"]),
                    interval=format_interval(display, *values["interval"]),
                    p=f"{values['p_adjusted']:.2g}",
                )
            )


def list_forgotten(results: EvaluationResults) -> Iterator[tuple[str, Metrics]]:
    """Yield (suite, values) of each suite that the model is proven to forget."""
    for task, values in results.details.get("forgetting", {}).get(OLD, {}).items():
        loss, interval = compute_loss(values)
        if values["p_adjusted"] < multiple_testing.LEVEL and loss > 0 and interval.low > 0:
            yield task, values


def list_concerns(results: EvaluationResults) -> Iterator[Text]:
    """Yield a sentence for each suite that the model is proven to forget."""
    for task, values in list_forgotten(results):
        display = describe_metric(values["metric"])
        yield say(
            "The model forgets: {subject} on test records of earlier rounds was {before} with the "
            "base and is {after} now.",
            subject=name_subject(task, values["metric"]),
            before=display.format(values["before"]),
            after=display.format(values["after"]),
        )


def describe_replay(augmented: Mapping[str, Metrics]) -> Text | None:
    """Return the sentence on the training rows of earlier rounds; None without replay."""
    replay = augmented.get("replay")
    if not replay:
        return None
    old, new = replay["old"]["rows"], replay["new"]["rows"]
    return say(
        "Replay: {old} of {rows} training rows ({share}) come from earlier rounds, from {records} "
        "records; {new} rows are of the last round.",
        old=f"{old:,}",
        rows=f"{old + new:,}",
        share=f"{100 * old / (old + new):.1f}%",
        records=f"{replay['old']['records']:,}",
        new=f"{new:,}",
    )


def _build_row(task: str, values: Metrics) -> TableRow:
    display = describe_metric(values["metric"])
    return TableRow(
        title=name_subject(task, values["metric"]),
        records=values["records"],
        cells=[
            TableCell(text=display.format(values["before"])),
            TableCell(text=display.format(values["after"])),
            build_difference_cell(display, values),
        ],
    )
