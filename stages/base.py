"""Bring the base model in as data: a starter trained here, a hub's revision or a folder."""

from pathlib import Path

import click

from stages import compute, models, outputs, params
from stages.bases import folder, hub, inspection, starter
from stages.bases.origin import Base
from stages.cli import IN_FILE, OUT, run
from stages.errors import Refusal, loading
from stages.params import Section, Seed


class Params(Section):
    seed: Seed
    compute: compute.Compute
    base: Base
    starter: starter.Starter
    weights: models.Weights


def vet(model: Path, chosen: Base) -> None:
    """Refuse a model that could run code, is incomplete or cannot hold a conversation."""
    from transformers import logging

    logging.disable_progress_bar()  # a refusal is one line
    config = inspection.inspect(model, chosen.allowed_config_keys)
    with loading(f"{model}: the tokenizer"):
        tokenizer = models.load_tokenizer(model)
    if inspection.writes(config) and not tokenizer.chat_template:
        raise Refusal(f"{model}: the base has no chat template; add chat_template.jinja to it")


def train_starter(text: Path, out: Path, chosen: Params) -> str:
    """Pre-train the starter model into `out`; says how far it came."""
    compute.set_up(chosen.compute, chosen.seed)
    documents = starter.texts(text)
    tokenizer = starter.train_tokenizer(documents, chosen.starter)
    model = starter.build(tokenizer, chosen.starter, chosen.compute.attention)
    loss = starter.pretrain(model, tokenizer, documents, chosen.starter, chosen.seed)
    models.save(model, out, chosen.weights.max_shard_gb)
    models.save_tokenizer(tokenizer, out)
    return f"pre-trained {model.num_parameters():,} parameters to a loss of {loss:.2f}"


def take(source: Path, out: Path, chosen: Base) -> None:
    """Link or copy a local model into `out`; a refusal names the user's folder, not our copy."""
    folder.bring(source, out)
    try:
        vet(out, chosen)
    except Refusal as refusal:
        raise Refusal(refusal.message.replace(str(out), str(source))) from None


def configure(model: Path, chosen: Base) -> None:
    """Change the config.json of a vetted model as asked, and vet it again."""
    if not chosen.configuration:
        return
    inspection.change(model, chosen.configuration)
    try:
        vet(model, chosen)
    except Refusal as refusal:
        reason = refusal.message.removeprefix(f"{model}/config.json: ")
        raise Refusal(f"params.yaml: base.configuration: {reason}") from None


@click.command(help=__doc__)
@click.argument("text", type=IN_FILE)
@click.argument("out", type=OUT)
def main(text: Path, out: Path) -> None:
    chosen = params.read(Params)
    with outputs.folder(out) as partial:
        match chosen.base.source:
            case "starter":
                done = train_starter(text, partial, chosen)
                vet(partial, chosen.base)
            case "hub":
                # vetted before its scratch is given up: a refusal must not cost the download
                wanted = chosen.base.id, chosen.base.revision
                hub.download(*wanted, partial, lambda scratch: vet(scratch, chosen.base))
                done = f"downloaded {wanted[0]} at {wanted[1]}"
            case "path":
                take(Path(chosen.base.path), partial, chosen.base)
                done = f"took {chosen.base.path}"
        configure(partial, chosen.base)
    click.echo(f"base: {done}", err=True)


if __name__ == "__main__":
    run(main)
