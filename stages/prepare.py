"""Read the sources, clean and check every row, and split without leaks."""

import gc
from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.checks import check_evaluate, reference_checks
from lockstep.cli.runner import IN_FOLDER, OUT, run
from lockstep.data import (
    contamination,
    empty_splits,
    prepare_summary,
    rejected_rows,
    source_reading,
    source_report,
    task_kinds,
)
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.selection import select_records
from lockstep.data.splitting import SPLITS
from lockstep.params import Section, Seed


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    prepare: PrepareParams


@click.command(help=__doc__)
@click.argument("raw", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(raw: Path, out: Path) -> None:
    gc.disable()  # there are millions of objects and no cycles; searching for cycles is slow
    sections = params.read(Params)
    settings, seed = sections.prepare, sections.seed

    benchmarks = contamination.read_benchmarks(raw, settings.decontaminate.benchmarks)
    table, converted, reports = source_reading.read_sources(raw, settings, seed)
    for line in source_report.list_notes(reports):
        click.echo(f"prepare: note: {line}", err=True)
    protected = contamination.protect_benchmarks(benchmarks, settings.decontaminate.words)
    selection = select_records(table, protected, settings, seed)
    empty_splits.check_splits(selection, reports)

    card = prepare_summary.build_card(selection, converted, reports, benchmarks, settings)
    labels = {task: sorted(counts) for task, counts in card["labels"].items()}
    tasks = task_kinds.describe_tasks(
        selection.split_statistics(), settings.sources, converted.votes
    )
    with outputs.atomic_folder(out) as folder:
        for split in SPLITS:
            selection.write_split(folder / f"{split}.jsonl", split)
        rejected_rows.write_rejected(folder / "rejected.jsonl", converted.rejected)
        selection.write_removed(folder / "removed.jsonl")
        outputs.write_json(folder / "labels.json", labels)
        outputs.write_json(folder / "tasks.json", tasks)
        outputs.write_json(folder / "card.json", card)
    click.echo(prepare_summary.format_counts(selection, converted, reports), err=True)
    test = list(records.read(out / "test.jsonl"))
    for note in check_evaluate.list_notes(tasks):
        click.echo(f"prepare: note: {note}", err=True)
    for warning in [*card["warnings"], *reference_checks.list_warnings(test, tasks)]:
        click.echo(f"prepare: warning: {' '.join(warning.split())}", err=True)


if __name__ == "__main__":
    run(main)
