"""The `base` section of params.yaml: the source of the base model."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from lockstep.params import Section

Revision = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40})?$")]


class BaseParams(Section):
    """Source of the base model."""

    source: Literal["starter", "hub", "path"]
    """starter copies the tiny model in data/starter, hub downloads `id` at `revision`, path copies
    the folder `path`."""
    id: str = ""
    """hub: name of the model, owner/name."""
    revision: Revision = ""
    """hub: full commit hash, 40 hex digits; a branch name could point to other files later."""
    path: str = ""
    """path: local folder with config.json, *.safetensors and the tokenizer's files."""
    configuration: dict[str, JsonValue] = Field(default={})
    """Values that replace those of config.json, by key: RoPE scaling, a sliding window …"""

    @model_validator(mode="after")
    def _check_source(self) -> "BaseParams":
        required = {"starter": [], "hub": ["id", "revision"], "path": ["path"]}[self.source]
        missing = [f"base.{name}" for name in required if not getattr(self, name)]
        if missing:
            raise ValueError(f"source {self.source} needs {' and '.join(missing)}")
        return self
