"""The `base` section of params.yaml: the source of the base model."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator

from lockstep.params import Section

Revision = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40})?$")]

PROJECT_TEMPLATES = ("chatml", "plain")
"""Chat templates in lockstep/hub/templates, for a base that has none."""


def _parse_date(value: Any) -> Any:
    """Return the day that a text names: `dvc exp run -S` writes dates as texts."""
    return date.fromisoformat(value) if isinstance(value, str) else value


Day = Annotated[date, BeforeValidator(_parse_date)]


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

    chat_template: str = ""
    """Chat template for the base instead of its own: chatml or plain, which the project brings, or
    the path of a Jinja file; empty keeps the base's own."""
    template_options: dict[str, JsonValue] = Field(default={})
    """Variables of the chat template, e.g. {enable_thinking: false}; they are written into it."""
    template_date: Day = date(2024, 7, 26)
    """Date that the chat template writes instead of today's, YYYY-MM-DD."""

    @model_validator(mode="after")
    def _check_source(self) -> "BaseParams":
        required = {"starter": [], "hub": ["id", "revision"], "path": ["path"]}[self.source]
        missing = [f"base.{name}" for name in required if not getattr(self, name)]
        if missing:
            raise ValueError(f"source {self.source} needs {' and '.join(missing)}")
        return self
