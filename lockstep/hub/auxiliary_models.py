"""Models that a stage uses beside the base: a folder of the user's, or one revision of the hub."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import download
from lockstep.hub import local_folder as of_model

ModelReference = Annotated[str, Field(min_length=1)]
"""A folder, or `owner/name@revision` with the revision's 40 hex digits."""

_HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of a model on the hub: `owner/name@revision`."""
    return _HUB_NAME.fullmatch(name) is not None


def resolve_model(name: ModelReference) -> Path:
    """The model's folder; what the hub has is downloaded once, into .scratch/models."""
    found = _HUB_NAME.fullmatch(name)
    if not found:
        if not Path(name).is_dir():
            raise UserError(
                f"{name}: no model there; name a folder that save_pretrained wrote, or "
                "owner/name@revision of the hub with all 40 digits"
            )
        of_model.list_small_files({path.name for path in Path(name).iterdir()}, name)
        return Path(name)
    model_id, revision = found.groups()
    root = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "models")
    into = root / f"{model_id.replace('/', '--')}@{revision}"
    root.mkdir(parents=True, exist_ok=True)
    with download.lock_downloads(root):
        if not into.exists():
            with outputs.atomic_folder(into) as partial:
                download.download_model(model_id, revision, partial)
    return into
