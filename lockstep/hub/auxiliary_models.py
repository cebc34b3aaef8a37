"""Find the models that a stage uses beside the base: a local folder or a revision on the hub."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import download, local_folder

ModelReference = Annotated[str, Field(min_length=1)]
"""A local folder, or `owner/name@revision` with all 40 hex digits of the revision."""


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of a model on the hub: `owner/name@revision`."""
    return download.REFERENCE.fullmatch(name) is not None


def resolve_model(reference: ModelReference) -> Path:
    """Return the folder of a model; a model on the hub is downloaded once, to .scratch/models."""
    hub_name = download.REFERENCE.fullmatch(reference)
    if not hub_name:
        folder = Path(reference)
        if not folder.is_dir():
            raise UserError(
                f"{reference}: no such model; name a folder written by save_pretrained, or "
                "owner/name@revision on the hub with all 40 digits of the revision"
            )
        local_folder.list_small_files(local_folder.list_files(folder), reference)
        return folder
    model_id, revision = hub_name.groups()
    root = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "models")
    folder = root / f"{model_id.replace('/', '--')}@{revision}"
    root.mkdir(parents=True, exist_ok=True)
    with download.lock_downloads(root):
        if not folder.exists():
            with outputs.atomic_folder(folder) as partial:
                download.download_model(model_id, revision, partial)
    return folder
