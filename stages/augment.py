"""Add rephrased copies of training records, none of them close to a validation or test record."""

from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.augmentation import augmentation_card, mixing, replay
from lockstep.augmentation.augment_params import AugmentParams
from lockstep.augmentation.augmented_records import augment_records
from lockstep.augmentation.methods import Resources
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.models.compute import ComputeParams
from lockstep.params import Section, Seed


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: ComputeParams
    augment: AugmentParams


@click.command(help=__doc__)
@click.argument("prepared", type=IN_FOLDER)
@click.argument("dictionary", type=IN_FILE)
@click.argument("out", type=OUT)
def main(prepared: Path, dictionary: Path, out: Path) -> None:
    settings = params.read(Params)
    parents = list(records.read(prepared / "train.jsonl"))
    evaluation_texts = [
        record.user_text
        for split in ("validation", "test")
        for record in records.read(prepared / f"{split}.jsonl")
    ]

    resources = Resources(dictionary=dictionary, compute=settings.compute, seed=settings.seed)
    augmentation = augment_records(parents, evaluation_texts, settings.augment, resources)
    train = [*parents, *augmentation.records]
    for mix in settings.augment.mix:
        train = mixing.reweight_records(train, mix)
    replayed = {}
    if settings.augment.replay:
        rounds = outputs.read_json(prepared / "card.json").get("rounds", {})
        train, counts = replay.replay_records(train, rounds, settings.augment.replay)
        replayed = {"replay": counts}
    card = replayed | augmentation_card.describe_augmentation(parents, augmentation, train)

    with outputs.atomic_folder(out) as partial:
        records.write(partial / "train.jsonl", train)
        outputs.write_json(partial / "card.json", card)
    click.echo(
        f"augment: {len(parents)} records and {len(augmentation.records)} augmented ones", err=True
    )


if __name__ == "__main__":
    run(main)
