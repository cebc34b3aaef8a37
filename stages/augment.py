"""Add new phrasings of the training records, none of which leaks from a held-out one."""

from pathlib import Path
from typing import Any

import click

from lockstep import outputs, params, records
from lockstep.augmentation import child_records, diversity, methods, mixing, synonyms
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.data import data_card
from lockstep.models import compute
from lockstep.params import Fraction, NaturalInt, Section, Seed
from lockstep.records import Record


class Augment(Section):
    """Which phrasings are added, and what the mixture of the training records becomes."""

    methods: list[methods.Any]
    """In their order; each entry's children are named by its method."""
    max_children: NaturalInt
    """Of one record, over all methods."""
    similarity: Fraction
    """Children as similar as this to a validation or test record are left out."""
    mix: list[mixing.Mix]
    """Shares that the values of slices are to have, by weights."""


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    augment: Augment


def children(
    parents: list[Record], held_out: list[str], dictionary: Path, chosen: Params
) -> child_records.Nursery:
    """The children of all methods."""
    settings = chosen.augment
    nursery = child_records.Nursery(
        {parent.id for parent in parents}, held_out, settings.similarity, settings.max_children
    )
    for method in settings.methods:
        suited = [parent for parent in parents if method.suits(parent)]
        picked = child_records.chosen(suited, method.method, method.share, chosen.seed)
        draws = [
            child_records.draw(parent, f"{method.method}/text", chosen.seed) for parent in picked
        ]
        kept = [child_records.protected(parent) for parent in picked]
        if isinstance(method, methods.Dictionary):
            known = synonyms.read(dictionary) if picked else {}
            texts = method.rephrase(picked, draws, kept, known)
        elif isinstance(method, methods.LocalParaphrase):
            texts = method.rephrase(picked, draws, kept, chosen.compute.attention)
        else:
            texts = method.rephrase(picked, draws, kept)
        nursery.admit(method.method, picked, texts)
    return nursery


def summarize(
    parents: list[Record], nursery: child_records.Nursery, train: list[Record]
) -> dict[str, Any]:
    """The card: what each method made and why some was left out, and what it did to variety."""
    return {
        "parents": len(parents),
        "children": len(nursery.children),
        "methods": {name: dict(sorted(tally.items())) for name, tally in nursery.counts.items()},
        "diversity": {
            "before": diversity.describe([parent.question for parent in parents]),
            "after": diversity.describe([record.question for record in train]),
        },
        "train": data_card.describe(data_card.part(train)),
    }


@click.command(help=__doc__)
@click.argument("prepared", type=IN_FOLDER)
@click.argument("dictionary", type=IN_FILE)
@click.argument("out", type=OUT)
def main(prepared: Path, dictionary: Path, out: Path) -> None:
    chosen = params.read(Params)
    parents = list(records.read(prepared / "train.jsonl"))
    held_out = [
        record.user_text
        for name in ("validation", "test")
        for record in records.read(prepared / f"{name}.jsonl")
    ]
    if any(method.loads_a_model for method in chosen.augment.methods):
        compute.set_up_torch(chosen.compute, chosen.seed)
    nursery = children(parents, held_out, dictionary, chosen)
    train = [*parents, *nursery.children]
    for mix in chosen.augment.mix:
        train = mixing.weighted(train, mix)
    summary = summarize(parents, nursery, train)
    with outputs.atomic_folder(out) as partial:
        records.write(partial / "train.jsonl", train)
        outputs.write_json(partial / "card.json", summary)
    click.echo(
        f"augment: {len(parents)} records and {len(nursery.children)} new phrasings", err=True
    )


if __name__ == "__main__":
    run(main)
