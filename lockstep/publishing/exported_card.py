"""The model card that travels with a model: the report's card with lineage and licences."""

from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics.metric_display import describe_metric, format_bytes, sort_metrics, spell_out
from lockstep.metrics.registry import LIKELIHOOD_METRICS
from lockstep.publishing.licences import UNKNOWN, BaseLicence
from lockstep.publishing.lineage import Lineage
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.rendering import escape_markdown

FILES_HEADING = "\n## Files\n"
"""Heading of the section of the report's card about the pipeline's folders."""


def write_card(
    report_card: str,
    title: str,
    variant: str,
    results: EvaluationResults,
    base: BaseLicence,
    data: Sequence[tuple[str, str]],
    lineage: Lineage,
    files: Sequence[tuple[str, int]],
    usage: str,
) -> str:
    """Return the card of one variant as README.md.

    `report_card` is the card that the stage report wrote, `title` the name of the model, `data`
    the licence of each source of the data, `files` the names and sizes of the files beside the
    card, `usage` sentences about them.
    """
    from huggingface_hub import ModelCard

    try:
        card: Any = ModelCard(report_card)
    except ValueError as error:
        raise UserError(f"reports/model-card.md: {error}; run `dvc repro report`") from None
    card.data.license = base.names if len(base.names) > 1 else base.names[0]
    for key, value in base.more.items():
        card.data[key] = value
    card.data.model_name = title
    card.data.eval_results = list(_list_results(card.data.pipeline_tag, variant, results)) or None
    if any(name.endswith(".gguf") for name, _ in files):
        card.data.library_name = "gguf"
    body = card.text.partition(FILES_HEADING)[0].rstrip("\n")
    sections = [
        body,
        "\n".join(_write_licences(base, data)),
        "\n".join(_write_lineage(lineage)),
        "\n".join(_write_files(variant, files, usage)),
    ]
    card.text = "\n\n".join(sections) + "\n"
    return str(card)


def _list_results(task_type: str, variant: str, results: EvaluationResults) -> Iterator[Any]:
    """Yield each metric of a variant on the test records as an entry of the hub's model index."""
    from huggingface_hub import EvalResult

    values = [
        (task, name, value)
        for task in results.suites
        for name in sort_metrics(results.variants[variant][task]["overall"])
        if (value := results.variants[variant][task]["overall"][name]) is not None
    ]
    whole = results.variants[variant]
    values += [("all_tasks", name, whole[name]) for name in LIKELIHOOD_METRICS if name in whole]
    for task, name, value in values:
        yield EvalResult(
            task_type=task_type,
            dataset_type="custom",
            dataset_name=spell_out(task),
            dataset_config=task,
            dataset_split="test",
            metric_type=name,
            metric_name=describe_metric(name).title,
            metric_value=value,
        )


def _write_licences(base: BaseLicence, data: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "## Licences\n"
    names = ", ".join(base.names)
    stated = "not known" if base.names == [UNKNOWN] else escape_markdown(names)
    yield f"Base model: {stated} ({escape_markdown(base.source)}).\n"
    yield "The metadata of this card repeats the licence of the base. Nobody has checked whether"
    yield "the licences of the data allow it; each source states:\n"
    yield "| source of data | licence |"
    yield "|---|---|"
    for source, licence in data:
        yield f"| {escape_markdown(source)} | {escape_markdown(licence)} |"


def _write_lineage(lineage: Lineage) -> Iterator[str]:
    yield "## Lineage\n"
    yield "| what | where from |"
    yield "|---|---|"
    yield f"| commit | `{lineage.commit}` |"
    for name, value in lineage.rows:
        yield f"| {name} | {value} |"
    if lineage.changes:
        names = ", ".join(f"`{name}`" for name in lineage.changes)
        yield f"\nThe commit does not describe this model: these files had changed: {names}."
    yield "\nDVC computes the MD5 of a folder over the names and the MD5 of its files (`dvc.lock`)."


def _write_files(variant: str, files: Sequence[tuple[str, int]], usage: str) -> Iterator[str]:
    yield "## Files\n"
    yield f"This is the {variant} model of the results above. {usage}\n"
    yield "| file | size |"
    yield "|---|--:|"
    for name, size in files:
        yield f"| `{name}` | {format_bytes(size)} |"
