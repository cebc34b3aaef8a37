"""Fetch the base model from the hub or a local folder, and check that it is safe to load."""

from pathlib import Path

from lockstep.errors import UserError
from lockstep.hub import base_template, config_keys, download, inspection, local_folder
from lockstep.hub.base_params import BaseParams
from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer


def check_base(folder: Path, base: BaseParams) -> list[str]:
    """Check our copy of a base model, and return notes for the user, a line for each.

    Keys that load code are removed from the copy. Raise UserError if the model is incomplete, if
    transformers lacks its class or if its tokenizer does not fit.
    """
    from transformers import logging

    logging.disable_progress_bar()  # an error message must be the only line of output
    notes = config_keys.drop_code_keys(folder)
    result = inspection.inspect_base(folder)
    tokenizer = loading.load_tokenizer(folder, base_template.read_template_options(base))
    return notes + result.notes + check_vocabulary(tokenizer, result.embedding_rows, folder)


def check_vocabulary(tokenizer: ChatTokenizer, rows: int, folder: Path) -> list[str]:
    """Raise UserError if a token has no row in the embeddings; return notes for the user.

    Placeholders of images and sounds may lack one, since text never contains them: Gemma 3 1B
    shares its tokenizer with models that read images.
    """
    beyond = {
        token: number
        for token, number in tokenizer.pretrained.get_vocab().items()
        if number >= rows
    }
    placeholders = {
        token
        for name, token in tokenizer.pretrained.special_tokens_map.items()
        if any(part in name for part in ("image", "audio", "video", "boi", "eoi", "boa", "eoa"))
    }
    if wrong := sorted(beyond.keys() - placeholders, key=beyond.__getitem__):
        raise UserError(
            f"{folder}: the tokenizer has a token {wrong[-1]} with id {beyond[wrong[-1]]}, but the "
            f"embeddings have {rows} rows; add rows to the model or remove the token"
        )
    return [f"the embeddings have no row for {', '.join(sorted(beyond))}"] if beyond else []


def download_base(base: BaseParams, into: Path) -> list[str]:
    """Download the base model from the hub into the folder `into`; return notes for the user.

    A model that the check refuses is not downloaded again after `params.yaml` has been corrected.
    Error messages name the model, not the copy.
    """
    notes: list[str] = []
    download.download_model(
        base.id,
        base.revision,
        into,
        lambda copy: notes.extend(_check_copy(copy, f"{base.id}@{base.revision[:12]}", base)),
    )
    return notes


def copy_base(source: Path, base: BaseParams, into: Path) -> list[str]:
    """Copy the base model from the local folder `source` into `into`; return notes for the user.

    Error messages name the source, not the copy.
    """
    local_folder.copy_model(source, into)
    return _check_copy(into, str(source), base)


def check_path(path: Path, out: Path) -> None:
    """Raise UserError if a base would be copied from an output that the run replaces.

    The next run would then start from another model without a word.
    """
    folders = [out.parent / name for name in (out.name, "trained", "merged", "quantized")]
    if any(path.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise UserError(
            f"params.yaml: base.path: the pipeline replaces {path}; copy the model to a folder "
            "outside of data, such as models/round-0, and name that"
        )


def apply_configuration(folder: Path, base: BaseParams) -> None:
    """Replace values in config.json by those of `base.configuration`, and check the model again."""
    if not base.configuration:
        return
    try:
        inspection.update_config(folder, base.configuration)
        check_base(folder, base)
    except UserError as error:
        reason = error.message.removeprefix(f"{folder}/config.json: ")
        raise UserError(f"params.yaml: base.configuration: {reason}") from None


def _check_copy(copy: Path, source: str, base: BaseParams) -> list[str]:
    """Check a copy, and name its source in error messages."""
    try:
        return check_base(copy, base)
    except UserError as error:
        raise UserError(error.message.replace(str(copy), source)) from None
