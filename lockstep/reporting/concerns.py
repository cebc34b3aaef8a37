"""Concerns: what a reviewer should look at before the model ships."""

from collections.abc import Iterator, Sequence

from lockstep.metrics.metric_display import describe_metric, sort_metrics, spell_out
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import describe_doubt, name_metric, name_subject, name_task
from lockstep.reporting.texts import Text, capitalize, join_texts, say, translate_term
from lockstep.reporting.weak_slices import find_weakest_slice, list_slices
from lockstep.statistics.details import MIN_RECORDS, Metrics, get_suites

MIN_SUITE = 50
"""Number of test records below which a suite shows only large differences."""
MAX_NAMES = 6
"""Maximum number of labels in one sentence."""
MAX_TRUNCATED = 0.05
"""Share of truncated answers above which they are a concern."""


def list_concerns(results: EvaluationResults, train: Metrics, prepared: Metrics) -> list[str]:
    """Return what a reviewer should look at before the model ships, the most serious first.

    `train` and `prepared` are the summaries of these stages.
    """
    merged = results.variants["merged"]
    return [
        *_report_declines_by_tuning(results),
        *_report_declines_by_quantization(results),
        *_report_weakest_slice(results),
        *prepared["warnings"],
        *_report_untrained_labels(merged, prepared["unlearnt_labels"]),
        *_report_unrecognized_labels(merged),
        *_report_truncated_answers(merged),
        *_report_truncated_rows(train),
        *_report_few_records(merged),
    ]


def _report_declines_by_tuning(results: EvaluationResults) -> Iterator[Text]:
    for task, name, before, after in _find_declines(results, "base", "merged"):
        doubt = describe_doubt(results.differences["tuning"], task, name)
        yield _describe_decline("Tuning", task, name, before, after, doubt)


def _report_declines_by_quantization(results: EvaluationResults) -> Iterator[Text]:
    """Yield losses that chance does not explain."""
    tests = results.differences["quantization"]
    for task, name, before, after in _find_declines(results, "merged", "quantized"):
        if name in tests.get(task, {}) and not tests[task][name].could_be_chance:
            yield _describe_decline("Quantization", task, name, before, after, "")


def _find_declines(
    results: EvaluationResults, old: str, new: str
) -> Iterator[tuple[str, str, float, float]]:
    """Yield (suite, metric, before, after) of each metric that is shown as worse."""
    variants = results.variants
    for task, suite in get_suites(variants[new]).items():
        for name in sort_metrics(suite["overall"]):
            before, after = variants[old][task]["overall"].get(name), suite["overall"][name]
            if before is not None and describe_metric(name).is_better(after, before):
                yield task, name, before, after


def _describe_decline(
    step: str, task: str, name: str, before: float, after: float, doubt: str
) -> Text:
    display = describe_metric(name)
    return say(
        "{step} makes {subject} worse: {before} before, {after} after{doubt}.",
        step=translate_term(step),
        subject=name_subject(task, name),
        before=display.format(before),
        after=display.format(after),
        doubt=doubt,
    )


def _report_weakest_slice(results: EvaluationResults) -> Iterator[Text]:
    weakest = find_weakest_slice(list_slices(results))
    if weakest:
        display = describe_metric(weakest.metric)
        yield say(
            "Weakest slice: {task}, {slice}, with {value} {metric} on {records} records, compared "
            "with {overall} overall.",
            task=name_task(weakest.task),
            slice=weakest.title,
            value=display.format(weakest.merged),
            metric=name_metric(display),
            records=weakest.records,
            overall=display.format(weakest.overall),
        )


def _report_unrecognized_labels(merged: Metrics) -> Iterator[Text]:
    for task, suite in get_suites(merged).items():
        never = [
            label
            for label, row in suite.get("confusion", {}).items()
            if sum(row.values()) >= MIN_RECORDS and label not in row
        ]
        if never:
            yield say(
                "Never predicted correctly in {task}: {labels}.",
                task=name_task(task),
                labels=_list_names(never),
            )


def _report_untrained_labels(merged: Metrics, labels: dict[str, dict[str, int]]) -> Iterator[Text]:
    for task in get_suites(merged):
        if task in labels:
            yield say(
                "In no training record of {task}: {labels}.",
                task=name_task(task),
                labels=_list_names([*labels[task]]),
            )


def _list_names(labels: Sequence[str]) -> Text:
    names = join_texts(", ", [Text(*[spell_out(label)] * 2) for label in labels[:MAX_NAMES]])
    if len(labels) <= MAX_NAMES:
        return names
    return say("{names} and {count} more", names=names, count=len(labels) - MAX_NAMES)


def _report_truncated_answers(merged: Metrics) -> Iterator[Text]:
    for task, suite in get_suites(merged).items():
        truncated, records = suite.get("truncated", 0), suite["records"]
        if truncated > MAX_TRUNCATED * records:
            yield say(
                "{truncated} of {records} answers of {task} were truncated at "
                "predict.max_new_tokens before the model ended them.",
                truncated=f"{truncated:,}",
                records=f"{records:,}",
                task=name_task(task),
            )


def _report_truncated_rows(train: Metrics) -> Iterator[Text]:
    for name, message in (
        ("rows_truncated", "{count} of {rows} training rows were truncated."),
        ("rows_dropped", "{count} of {rows} training rows were dropped as too long."),
        (
            "rows_equal",
            "{count} of {rows} training rows were dropped, since truncation made their two answers "
            "equal.",
        ),
    ):
        if train[name]:
            yield say(message, count=f"{train[name]:,}", rows=f"{train['rows']:,}")


def _report_few_records(merged: Metrics) -> Iterator[Text]:
    for task, suite in get_suites(merged).items():
        if suite["records"] < MIN_SUITE:
            yield capitalize(
                say(
                    "{task} has only {records} test records: too few to tell models apart, or to "
                    "find a label that the model lost.",
                    task=name_task(task),
                    records=suite["records"],
                )
            )
