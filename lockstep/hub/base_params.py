"""Where the base model comes from: the `base` section of params.yaml."""

from typing import Annotated, Literal

from pydantic import JsonValue, StringConstraints, model_validator

from lockstep.params import Section

Revision = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40})?$")]


class BaseParams(Section):
    """Where the base model comes from."""

    source: Literal["starter", "hub", "path"]
    """starter: trained from scratch here; hub: id and revision; path: a local folder."""
    id: str
    """owner/name on the hub; empty otherwise."""
    revision: Revision
    """The full commit hash on the hub: a branch would move. Empty otherwise."""
    path: str
    """The folder of a local model; empty otherwise."""
    allowed_config_keys: list[str]
    """Keys of config.json, unknown to transformers, that you trust."""

    configuration: dict[str, JsonValue]
    """Key of config.json -> value in its place: RoPE scaling, a sliding window …"""

    @model_validator(mode="after")
    def _complete(self) -> "BaseParams":
        needed = {"starter": [], "hub": ["id", "revision"], "path": ["path"]}[self.source]
        empty = [f"base.{name}" for name in needed if not getattr(self, name)]
        if empty:
            raise ValueError(f"source {self.source} needs {' and '.join(empty)}")
        return self
