"""Read the sources, clean and check every row, and split without leaks."""

import gc
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import click
from pydantic import Field, field_validator, model_validator
from tqdm import tqdm

from stages import outputs, params, records
from stages.cli import IN_FOLDER, OUT, run
from stages.corpus import (
    card,
    cleaning,
    contamination,
    duplicates,
    intake,
    label_studio,
    quality,
    readers,
    rejection,
    removal,
    splitting,
)
from stages.corpus.sources import LABELLED, Source
from stages.errors import Refusal
from stages.params import Fraction, PositiveInt, Section, Seed
from stages.records import Record


class Prepare(Section):
    """Which data, how clean, how divided."""

    source_defaults: dict[str, Any]
    """What a source has that does not say otherwise."""
    sources: Annotated[list[Source], Field(min_length=1)]
    max_characters: PositiveInt
    """A row with a longer turn is rejected."""
    max_rejected_fraction: Fraction
    """More bad rows than this share of all rows is an error."""
    clean: list[cleaning.Step]
    """Cleaning steps, in their order."""
    boilerplate: list[cleaning.Pattern]
    """Regular expressions that the step of this name takes out."""
    quality: quality.Quality
    duplicates: duplicates.Duplicates
    split: splitting.Split
    decontaminate: contamination.Decontamination

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        try:
            sources = [{**values["source_defaults"], **source} for source in values["sources"]]
        except (KeyError, TypeError):
            return values  # the fields' own checks say what is wrong
        return {**values, "sources": sources}

    @field_validator("sources")
    @classmethod
    def _distinct(cls, sources: list[Source]) -> list[Source]:
        counts = Counter(str(PurePosixPath(source.path)) for source in sources)
        twice = [path for path, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} is listed twice; list each file once")
        return sources


class Params(Section):
    seed: Seed
    prepare: Prepare


def read_all(raw: Path, chosen: Prepare) -> tuple[list[Record], intake.Taken]:
    """Every row of every source, as a record or among the rejected; Refusal for too many."""
    cleaner = cleaning.Cleaner(chosen.clean, chosen.boilerplate)
    intakes = [
        intake.Intake(
            source, readers.labels(raw, source), cleaner, chosen.quality, chosen.max_characters
        )
        for source in chosen.sources
    ]
    rows: list[Record] = []
    total = intake.Taken()
    with tqdm(desc="prepare", unit=" rows", disable=None, leave=False) as bar:
        for taken in intake.take_all(raw, intakes):
            rows += map(records.load, taken.lines)
            total.rejected += taken.rejected
            total.cleaned += taken.cleaned
            total.faults += taken.faults
            total.votes += taken.votes
            bar.update(len(taken.lines) + len(taken.rejected))
    refuse_too_many(total.rejected, len(rows) + len(total.rejected), chosen.max_rejected_fraction)
    return rows, total


def refuse_too_many(rejected: list[rejection.Rejected], total: int, limit: float) -> None:
    """Raise where the share of bad rows is above the limit, naming the first ten."""
    if len(rejected) > limit * total:
        first = "\n".join(f"{row.origin}: {row.reason}" for row in rejected[:10])
        raise Refusal(
            f"{len(rejected)} of {total} rows rejected, more than "
            f"prepare.max_rejected_fraction {limit}; repair them or raise it:\n{first}"
        )


def divide(
    rows: list[Record], raw: Path, chosen: Prepare, seed: int
) -> tuple[splitting.Splits, removal.Removals]:
    """The splits, and every record that is in none of them, with the reason."""
    asked = {source.path: source.split for source in chosen.sources}
    gone = removal.Removals()
    rows = gone.merge_duplicates(rows, asked)
    rows = gone.settle_conflicts(rows, chosen.duplicates)
    groups = gone.group_near(rows, asked, chosen.duplicates)
    splits = splitting.split(groups, asked, chosen.split, seed)
    gone.drop_torn(splits, groups)
    benchmarks = contamination.benchmark_texts(raw, chosen.decontaminate.benchmarks)
    gone.drop_contaminated(splits, [*benchmarks], chosen.decontaminate.words)
    gone.drop_unused(splits, chosen.split.train_fraction, seed)
    order = {record.id: place for place, record in enumerate(rows)}
    for name, part in splits.items():
        part.sort(key=lambda record: order[record.id])
        if not part:
            raise Refusal(f"the {name} split is empty; correct prepare.split or add data")
    return splits, gone


def summarize(
    splits: splitting.Splits, total: intake.Taken, gone: removal.Removals, chosen: Prepare
) -> dict[str, Any]:
    """The data card."""
    kept = [record for part in splits.values() for record in part]
    classified = {source.task for source in chosen.sources if source.format in LABELLED}
    return {
        "rows": {
            "read": len(kept) + len(total.rejected) + len(gone.removed),
            "kept": len(kept),
            "rejected": len(total.rejected),
            "duplicates": gone.counts.get("duplicate", 0),
            "removed": len(gone.removed) - gone.counts.get("duplicate", 0),
        },
        "rejected": card.count(row.reason for row in total.rejected),
        "removed": gone.counts,
        "conflicts": gone.conflicting,
        "near_duplicate_groups": gone.near_groups,
        "cleaned": {step: total.cleaned[step] for step in chosen.clean},
        "faults": {signal: total.faults[signal] for signal in quality.SIGNALS},
        "agreement": {
            path: label_studio.agreement([vote for source, vote in total.votes if source == path])
            for path in sorted({source for source, _ in total.votes})
        },
        "labels": {t: card.labels(r for r in kept if r.task == t) for t in sorted(classified)},
        "licences": {source.path: source.licence for source in chosen.sources},
        "drift": card.drift(splits, chosen.split.by),
        "splits": {name: card.describe(part) for name, part in splits.items()},
    }


@click.command(help=__doc__)
@click.argument("raw", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(raw: Path, out: Path) -> None:
    gc.disable()  # millions of objects, none in a circle: looking for one takes a third of the time
    chosen = params.read(Params)
    rows, total = read_all(raw, chosen.prepare)
    splits, gone = divide(rows, raw, chosen.prepare, chosen.seed)
    summary = summarize(splits, total, gone, chosen.prepare)
    with outputs.folder(out) as partial:
        for name, part in splits.items():
            records.write(partial / f"{name}.jsonl", part)
        rejection.write(partial / "rejected.jsonl", total.rejected)
        gone.write(partial / "removed.jsonl")
        labels = {task: sorted(names) for task, names in summary["labels"].items()}
        outputs.write_json(partial / "labels.json", labels)
        outputs.write_json(partial / "card.json", summary)
    counts = ", ".join(f"{len(part)} {name}" for name, part in splits.items())
    click.echo(
        f"prepare: {summary['rows']['read']} rows: {len(total.rejected)} rejected, "
        f"{len(gone.removed)} duplicates or removed; {counts}",
        err=True,
    )


if __name__ == "__main__":
    run(main)
