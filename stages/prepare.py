"""Read the sources, clean and check every row, and split without leaks."""

import gc
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from lockstep import outputs, params
from lockstep.cli.runner import IN_FOLDER, OUT, run
from lockstep.data import (
    cleaning,
    contamination,
    data_card,
    intake,
    label_studio,
    quality,
    readers,
    rejection,
    shingles,
    task_kinds,
)
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.record_table import Layout, Table, joined
from lockstep.data.selection import Selection
from lockstep.errors import UserError
from lockstep.params import Section, Seed

SPLITS = ("train", "validation", "test")


class Params(Section):
    seed: Seed
    prepare: PrepareParams


def read_all(raw: Path, chosen: PrepareParams, seed: int) -> tuple[Table, intake.Taken]:
    """Every row of every source, as a record or among the rejected; UserError for too many."""
    cleaner = cleaning.Cleaner(chosen.clean, chosen.boilerplate)
    intakes = [
        intake.Intake(
            source, readers.labels(raw, source), cleaner, chosen.quality, chosen.max_characters
        )
        for source in chosen.sources
    ]
    layout = Layout(
        seed=seed,
        threshold=chosen.duplicates.threshold,
        words=chosen.decontaminate.words,
        labelled=frozenset(source.task for source in chosen.labelled_sources),
        by_answer="answer" in chosen.strata
        or any("task" in s.columns for s in chosen.labelled_sources),
    )
    tables: list[Table] = []
    total = intake.Taken()
    with tqdm(desc="prepare", unit=" rows", disable=None, leave=False) as bar:
        for table, taken in intake.take_all(raw, intakes, layout):
            tables.append(table)
            total.rejected += taken.rejected
            total.cleaned += taken.cleaned
            total.faults += taken.faults
            total.votes += taken.votes
            bar.update(len(table) + len(taken.rejected))
    rows = sum(map(len, tables)) + len(total.rejected)
    refuse_too_many(total.rejected, rows, chosen.max_rejected_fraction)
    return joined(tables), total


def refuse_too_many(rejected: list[rejection.Rejected], total: int, limit: float) -> None:
    """Raise where the share of bad rows is above the limit, naming the first ten."""
    if len(rejected) > limit * total:
        first = "\n".join(f"{row.origin}: {row.reason}" for row in rejected[:10])
        raise UserError(
            f"{len(rejected)} of {total} rows rejected, more than "
            f"prepare.max_rejected_fraction {limit}; repair them or raise it:\n{first}"
        )


def divide(
    table: Table, benchmarks: shingles.Hashes, chosen: PrepareParams, seed: int
) -> Selection:
    """The splits, and every record that is in none of them, with the reason."""
    selection = Selection(table, {source.path: source.split for source in chosen.sources})
    selection.settle_conflicts(chosen.duplicates.conflicts)  # while each record has its vote
    selection.merge_duplicates()
    selection.group_near(chosen.duplicates)
    selection.divide(chosen.split, chosen.strata)
    selection.drop_contaminated(benchmarks)
    selection.drop_unused(chosen.split.train_fraction, seed)
    for name in SPLITS:
        if not len(selection.split(name)):
            most = selection.largest_group
            why = f" ({most} records are one group)" if most * 2 > len(selection.rows) else ""
            raise UserError(f"the {name} split is empty{why}; correct prepare.split or add data")
    return selection


def summarize(selection: Selection, total: intake.Taken, chosen: PrepareParams) -> dict[str, Any]:
    """The data card."""
    parts = selection.parts(SPLITS)
    kept = sum(map(len, parts.values()))
    gone = selection.counts
    labels = data_card.labels(parts.values(), {source.path for source in chosen.labelled_sources})
    return {
        "rows": {
            "read": kept + len(total.rejected) + len(selection.removed),
            "kept": kept,
            "rejected": len(total.rejected),
            "duplicates": gone.get("duplicate", 0),
            "removed": len(selection.removed) - gone.get("duplicate", 0),
        },
        "rejected": data_card.in_order(Counter(row.reason for row in total.rejected)),
        "removed": gone,
        "conflicts": selection.conflicting,
        "near_duplicate_groups": selection.near_groups,
        "cleaned": {step: total.cleaned[step] for step in chosen.clean},
        "faults": {signal: total.faults[signal] for signal in quality.SIGNALS},
        "agreement": {
            path: label_studio.agreement([vote for source, vote in total.votes if source == path])
            for path in sorted({source for source, _ in total.votes})
        },
        "labels": labels,
        "unlearnt_labels": data_card.unlearnt(parts, labels),
        "licences": {source.path: source.licence for source in chosen.sources},
        "drift": data_card.drift(parts, chosen.strata),
        "splits": {name: data_card.describe(part) for name, part in parts.items()},
    }


@click.command(help=__doc__)
@click.argument("raw", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(raw: Path, out: Path) -> None:
    gc.disable()  # millions of objects, none in a circle: looking for one takes a third of the time
    chosen = params.read(Params)
    decontaminate = chosen.prepare.decontaminate
    texts = contamination.benchmark_texts(raw, decontaminate.benchmarks)
    table, total = read_all(raw, chosen.prepare, chosen.seed)
    benchmarks = contamination.all_grams(chain.from_iterable(texts.values()), decontaminate.words)
    selection = divide(table, benchmarks, chosen.prepare, chosen.seed)
    summary = summarize(selection, total, chosen.prepare)
    summary["benchmark_texts"] = {path: len(found) for path, found in texts.items()}
    with outputs.atomic_folder(out) as partial:
        for name in SPLITS:
            with (partial / f"{name}.jsonl").open("wb") as stream:
                stream.writelines(table.lines[row] for row in selection.split(name).tolist())
        rejection.write(partial / "rejected.jsonl", total.rejected)
        selection.write(partial / "removed.jsonl")
        labels = {task: sorted(names) for task, names in summary["labels"].items()}
        outputs.write_json(partial / "labels.json", labels)
        outputs.write_json(partial / "card.json", summary)
        kinds = task_kinds.source_kinds(chosen.prepare.sources, total.votes)
        tasks = task_kinds.describe_tasks(selection.parts(SPLITS), kinds)
        outputs.write_json(partial / "tasks.json", tasks)
    counts = ", ".join(f"{len(selection.split(name))} {name}" for name in SPLITS)
    click.echo(
        f"prepare: {summary['rows']['read']} rows: {len(total.rejected)} rejected, "
        f"{len(selection.removed)} duplicates or removed; {counts}",
        err=True,
    )


if __name__ == "__main__":
    run(main)
