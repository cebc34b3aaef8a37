"""Bring the base model in as data: a starter trained here, a hub's revision or a folder."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, OUT, run
from lockstep.errors import UserError, report_load_errors
from lockstep.hub import download, inspection, local_folder
from lockstep.hub.base_params import BaseParams
from lockstep.models import compute, model_io
from lockstep.params import Section, Seed
from lockstep.starter import pretraining


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    base: BaseParams
    starter: pretraining.StarterParams
    weights: model_io.WeightsParams


def vet(model: Path, chosen: BaseParams) -> None:
    """Refuse a model that could run code, is incomplete or cannot hold a conversation."""
    from transformers import logging

    logging.disable_progress_bar()  # a refusal is one line
    config = inspection.inspect_base(model, chosen.allowed_config_keys)
    with report_load_errors(f"{model}: the tokenizer"):
        tokenizer = model_io.load_tokenizer(model)
    if inspection.is_causal_lm(config) and not tokenizer.chat_template:
        raise UserError(f"{model}: the base has no chat template; add chat_template.jinja to it")


def train_starter(text: Path, out: Path, chosen: Params) -> str:
    """Pre-train the starter model into `out`; says how far it came."""
    compute.set_up_torch(chosen.compute, chosen.seed)
    documents = pretraining.read_documents(text)
    tokenizer = pretraining.train_tokenizer(documents, chosen.starter)
    model = pretraining.build_model(tokenizer, chosen.starter, chosen.compute.attention)
    loss = pretraining.pretrain(model, tokenizer, documents, chosen.starter, chosen.seed)
    model_io.save_model(model, out, chosen.weights.max_shard_gb)
    model_io.save_tokenizer(tokenizer, out)
    return f"pre-trained {model.num_parameters():,} parameters to a loss of {loss:.2f}"


def take(source: Path, out: Path, chosen: BaseParams) -> None:
    """Link or copy a local model into `out`; a refusal names the user's folder, not our copy."""
    local_folder.copy_model(source, out)
    try:
        vet(out, chosen)
    except UserError as refusal:
        raise UserError(refusal.message.replace(str(out), str(source))) from None


def configure(model: Path, chosen: BaseParams) -> None:
    """Change the config.json of a vetted model as asked, and vet it again."""
    if not chosen.configuration:
        return
    inspection.update_config(model, chosen.configuration)
    try:
        vet(model, chosen)
    except UserError as refusal:
        reason = refusal.message.removeprefix(f"{model}/config.json: ")
        raise UserError(f"params.yaml: base.configuration: {reason}") from None


@click.command(help=__doc__)
@click.argument("text", type=IN_FILE)
@click.argument("out", type=OUT)
def main(text: Path, out: Path) -> None:
    chosen = params.read(Params)
    with outputs.atomic_folder(out) as partial:
        match chosen.base.source:
            case "starter":
                done = train_starter(text, partial, chosen)
                vet(partial, chosen.base)
            case "hub":
                # vetted before its scratch is given up: a refusal must not cost the download
                wanted = chosen.base.id, chosen.base.revision
                download.download_model(*wanted, partial, lambda scratch: vet(scratch, chosen.base))
                done = f"downloaded {wanted[0]} at {wanted[1]}"
            case "path":
                take(Path(chosen.base.path), partial, chosen.base)
                done = f"took {chosen.base.path}"
        configure(partial, chosen.base)
    click.echo(f"base: {done}", err=True)


if __name__ == "__main__":
    run(main, first=True)
