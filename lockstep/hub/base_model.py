"""Fetch the base model from the hub or a local folder, and check that it is safe to load."""

from pathlib import Path

from lockstep.errors import UserError
from lockstep.hub import base_template, download, inspection, local_folder
from lockstep.hub.base_params import BaseParams
from lockstep.models import loading


def check_base(folder: Path, base: BaseParams) -> None:
    """Raise UserError if a model could run code, is incomplete or has no usable chat template."""
    from transformers import logging

    logging.disable_progress_bar()  # an error message must be the only line of output
    inspection.inspect_base(folder, base.allowed_config_keys)
    loading.load_tokenizer(folder, base_template.read_template_options(base))


def download_base(base: BaseParams, into: Path) -> None:
    """Download the base model from the hub into the folder `into`.

    The model is checked in the scratch folder of the download, so that a model that the check
    refuses is not downloaded again after `params.yaml` has been corrected.
    """
    download.download_model(base.id, base.revision, into, lambda scratch: check_base(scratch, base))


def copy_base(source: Path, base: BaseParams, into: Path) -> None:
    """Copy the base model from the local folder `source` into the folder `into`.

    Error messages name the source, not the copy.
    """
    local_folder.copy_model(source, into)
    try:
        check_base(into, base)
    except UserError as error:
        raise UserError(error.message.replace(str(into), str(source))) from None


def apply_configuration(folder: Path, base: BaseParams) -> None:
    """Replace values in config.json by those of `base.configuration`, and check the model again."""
    if not base.configuration:
        return
    inspection.update_config(folder, base.configuration)
    try:
        check_base(folder, base)
    except UserError as error:
        reason = error.message.removeprefix(f"{folder}/config.json: ")
        raise UserError(f"params.yaml: base.configuration: {reason}") from None
