"""Read the sources, clean and check every row, and split without leaks."""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated

import click
from pydantic import Field, field_validator

from stages import outputs, params, records
from stages.cli import IN_FOLDER, OUT, run
from stages.corpus import card, cleaning, readers, splitting
from stages.corpus.sources import Source
from stages.errors import Refusal
from stages.params import Fraction, Section, Seed
from stages.records import Record


class Prepare(Section):
    """Which data, how clean, how divided."""

    sources: Annotated[list[Source], Field(min_length=1)]
    clean: list[cleaning.Step]
    """Cleaning steps, in their order."""
    max_rejected_fraction: Fraction
    """More bad rows than this share of all rows is an error."""
    split: splitting.Split

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


def read_all(raw: Path, sources: list[Source]) -> tuple[list[Record], list[readers.Rejected]]:
    """Every row of every source, as a record or as a rejection."""
    rows = [row for source in sources for row in readers.read(raw, source)]
    kept = [row for row in rows if isinstance(row, Record)]
    return kept, [row for row in rows if isinstance(row, readers.Rejected)]


def clean_all(rows: list[Record], steps: list[cleaning.Step]) -> tuple[list[Record], Counter[str]]:
    """The records with clean text, and how many records each step changed."""
    changed: Counter[str] = Counter(dict.fromkeys(steps, 0))
    cleaned = []
    for row in rows:
        texts = [cleaning.clean(message["content"], steps) for message in row.messages]
        changed.update({step for _, steps_used in texts for step in steps_used})
        messages = [
            {"role": message["role"], "content": text}
            for message, (text, _) in zip(row.messages, texts, strict=True)
        ]
        cleaned.append(replace(row, messages=messages))
    return cleaned, changed


def refuse_too_many(rejected: list[readers.Rejected], total: int, limit: float) -> None:
    """Raise where the share of bad rows is above the limit, naming the first ten."""
    if len(rejected) > limit * total:
        first = "\n".join(f"{row.origin}: {row.reason}" for row in rejected[:10])
        raise Refusal(
            f"{len(rejected)} of {total} rows rejected, more than "
            f"prepare.max_rejected_fraction {limit}; repair them or raise it:\n{first}"
        )


@click.command(help=__doc__)
@click.argument("raw", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(raw: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.prepare
    rows, rejected = read_all(raw, settings.sources)
    total = len(rows) + len(rejected)
    refuse_too_many(rejected, total, settings.max_rejected_fraction)
    rows, changed = clean_all(rows, settings.clean)
    fixed = {source.path: source.split for source in settings.sources}
    kept, merged = splitting.merge_duplicates(rows, fixed)
    splits = splitting.split(kept, fixed, settings.split, chosen.seed)
    for name, part in splits.items():
        if not part:
            raise Refusal(f"the {name} split is empty; correct prepare.split or add data")
    classified = {source.task for source in settings.sources if source.format == "classification"}
    labels = {task: card.labels(r for r in kept if r.task == task) for task in sorted(classified)}
    summary = {
        "rows": {
            "read": total,
            "kept": len(kept),
            "rejected": len(rejected),
            "duplicates": len(merged),
        },
        "rejected": card.count(row.reason for row in rejected),
        "duplicates": merged,
        "cleaned": dict(changed),
        "labels": labels,
        "splits": {name: card.describe(part) for name, part in splits.items()},
    }
    with outputs.folder(out) as partial:
        for name, part in splits.items():
            records.write(partial / f"{name}.jsonl", part)
        readers.write_rejected(partial / "rejected.jsonl", rejected)
        outputs.write_json(partial / "labels.json", {t: sorted(c) for t, c in labels.items()})
        outputs.write_json(partial / "card.json", summary)
    counts = ", ".join(f"{len(part)} {name}" for name, part in splits.items())
    click.echo(
        f"prepare: {total} rows: {len(rejected)} rejected, {len(merged)} duplicates; {counts}",
        err=True,
    )


if __name__ == "__main__":
    run(main)
