"""Add new phrasings of the training records, none of which leaks from a held-out one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from stages import outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run
from stages.corpus import augmentation, card
from stages.corpus.splitting import skeleton
from stages.params import Section, Seed
from stages.records import Record


class Augment(Section):
    """How much of which method."""

    deletion: augmentation.Method
    """Words left out at random."""
    synonyms: augmentation.Method
    """Words replaced by those of the domain dictionary."""


class Params(Section):
    seed: Seed
    augment: Augment


def offspring(
    parents: list[Record], synonyms: augmentation.Synonyms, chosen: Params
) -> Iterator[tuple[str, Record, Record]]:
    """(method, parent, child) for every child that the methods make."""
    methods = {
        "deletion": lambda text, draw: augmentation.delete(
            text, chosen.augment.deletion.rate, draw
        ),
        "synonyms": lambda text, draw: augmentation.replace_synonyms(
            text, chosen.augment.synonyms.rate, draw, synonyms
        ),
    }
    for name, change in methods.items():
        share = getattr(chosen.augment, name).share
        for parent, child in augmentation.children(parents, name, share, change, chosen.seed):
            yield name, parent, child


def fault(parent: Record, child: Record, known: set[str], held_out: set[str]) -> str | None:
    """Why a child is not fit for training, or None."""
    if child.question == parent.question:
        return "unchanged"
    if child.id in known:
        return "duplicate"
    if skeleton(child.question) in held_out:
        return "near_identical_to_held_out"
    if any(value not in child.question for value in augmentation.protected(parent)):
        return "answer_no_longer_in_question"
    return None


@click.command(help=__doc__)
@click.argument("prepared", type=IN_FOLDER)
@click.argument("dictionary", type=IN_FILE)
@click.argument("out", type=OUT)
def main(prepared: Path, dictionary: Path, out: Path) -> None:
    chosen = params.read(Params)
    wanted = chosen.augment.synonyms.share > 0
    synonyms = augmentation.read_synonyms(dictionary) if wanted else {}
    parents = list(records.read(prepared / "train.jsonl"))
    held_out = {
        skeleton(record.question)
        for name in ("validation", "test")
        for record in records.read(prepared / f"{name}.jsonl")
    }
    known = {record.id for record in parents}
    made: list[Record] = []
    counts: dict[str, Counter[str]] = {"deletion": Counter(), "synonyms": Counter()}
    for method, parent, child in offspring(parents, synonyms, chosen):
        reason = fault(parent, child, known, held_out)
        counts[method][reason or "kept"] += 1
        if reason is None:
            known.add(child.id)
            made.append(child)
    summary = {
        "parents": len(parents),
        "children": len(made),
        "methods": {name: dict(sorted(tally.items())) for name, tally in counts.items()},
        "train": card.describe([*parents, *made]),
    }
    with outputs.folder(out) as partial:
        records.write(partial / "train.jsonl", [*parents, *made])
        outputs.write_json(partial / "card.json", summary)
    click.echo(f"augment: {len(parents)} records and {len(made)} new phrasings", err=True)


if __name__ == "__main__":
    run(main)
