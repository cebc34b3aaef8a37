"""The values of the section `judge`."""

from collections.abc import Hashable, Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from lockstep.params import PositiveInt, Section

Variant = Literal["base", "merged", "quantized"]

_OURS = {"messages", "model", "n", "stream"}


class Endpoint(Section):
    """An OpenAI-compatible endpoint; its key comes from OPENAI_API_KEY."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    """Up to /v1."""
    model: str
    options: dict[str, JsonValue]
    """Further fields of each request, by their names in the API."""
    timeout_seconds: PositiveInt
    """How long it may be silent at one attempt."""

    @model_validator(mode="after")
    def _further(self) -> "Endpoint":
        if taken := sorted(_OURS & self.options.keys()):
            raise ValueError(f"options: {', '.join(taken)} may not be set; remove it")
        return self


class Model(Section):
    """A chat model that runs here, and answers greedily."""

    folder: str
    """As `lockstep.hub.auxiliary_models.resolve_model` takes it."""
    batch_size: PositiveInt
    max_new_tokens: PositiveInt


class Comparison(Section):
    """Two variants whose answers are compared; a win is one of `variant`."""

    variant: Variant
    against: Variant

    @model_validator(mode="after")
    def _different(self) -> "Comparison":
        if self.variant == self.against:
            raise ValueError(f"{self.variant} is not compared against itself")
        return self

    @property
    def name(self) -> str:
        """By which the figures name the pair."""
        return f"{self.variant}_against_{self.against}"


class Judge(Section):
    """Who judges which answers, and on what."""

    by: Literal["none", "endpoint", "model"]
    endpoint: Endpoint
    model: Model
    suites: Annotated[list[str], Field(min_length=1)]
    """Tasks of evaluate.suites whose answers are text."""
    records: PositiveInt
    """Of each suite at most, evenly spread."""
    reference: bool
    """Whether the judge sees the expected answer."""
    dimensions: Annotated[list[str], Field(min_length=1)]
    """Names of the rubric's dimensions."""
    compare: list[Comparison]
    """Each in both orders."""
    score: list[Variant]
    """Variants whose answers get 1 to 5."""

    @model_validator(mode="after")
    def _sound(self) -> "Judge":
        pairs = [frozenset((pair.variant, pair.against)) for pair in self.compare]
        named: list[tuple[str, Sequence[Hashable]]] = [
            ("suites", self.suites),
            ("dimensions", self.dimensions),
            ("compare", pairs),
            ("score", self.score),
        ]
        for name, values in named:
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: name each once")
        if self.by == "model" and not self.model.folder:
            raise ValueError("model.folder: empty; name the judge's folder, or set by: none")
        if self.by == "endpoint" and not self.endpoint.model:
            raise ValueError("endpoint.model: empty; name the judge, or set by: none")
        if self.by != "none" and not self.compare and not self.score:
            raise ValueError(
                "nothing to judge; name pairs in compare, variants in score, or by: none"
            )
        return self

    @property
    def variants(self) -> list[Variant]:
        """Those whose answers are read."""
        pairs = [name for pair in self.compare for name in (pair.variant, pair.against)]
        return sorted({*pairs, *self.score})
