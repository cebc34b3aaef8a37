"""The parameters of the section `judge`."""

from collections.abc import Hashable, Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from lockstep.params import PositiveInt, Section
from lockstep.predictions import Variant

_RESERVED_OPTIONS = {"messages", "model", "n", "stream"}


class EndpointParams(Section):
    """An OpenAI-compatible endpoint; the API key comes from OPENAI_API_KEY."""

    url: Annotated[str, Field(pattern=r"^https?://")] = "http://localhost:8000/v1"
    """Base URL of the endpoint, usually ending in /v1."""
    model: str = ""
    """Name of the judge at the endpoint."""
    options: dict[str, JsonValue] = {"temperature": 0.0, "seed": 7, "max_tokens": 400}
    """Other fields of each request, by their names in the API."""
    timeout_seconds: PositiveInt = 120
    """Seconds without data from the endpoint after which a request is sent again."""

    @model_validator(mode="after")
    def _check_options(self) -> "EndpointParams":
        if reserved := sorted(_RESERVED_OPTIONS & self.options.keys()):
            raise ValueError(f"options: {', '.join(reserved)} may not be set; remove it")
        return self


class ModelParams(Section):
    """A chat model on this machine, decoded greedily."""

    folder: str = ""
    """Folder of the model, or owner/name@revision on the hub with all 40 digits of the revision."""
    batch_size: PositiveInt = 8
    """Number of prompts that are answered together."""
    max_new_tokens: PositiveInt = 400
    """Maximum length of a reply, in tokens."""


class Comparison(Section):
    """Two variants whose answers are compared."""

    variant: Variant
    """Variant whose wins and losses are counted."""
    against: Variant
    """Variant that it is compared with."""

    @model_validator(mode="after")
    def _check_different(self) -> "Comparison":
        if self.variant == self.against:
            raise ValueError(f"{self.variant} is compared with itself; name two variants")
        return self

    @property
    def name(self) -> str:
        """Name of the comparison in the metrics."""
        return f"{self.variant}_against_{self.against}"


class JudgeParams(Section):
    """The judge, the suites and variants whose answers it judges, and the dimensions."""

    by: Literal["none", "endpoint", "model"]
    """Who judges: none (nobody), endpoint (`judge.endpoint`) or model (`judge.model`)."""
    endpoint: EndpointParams = EndpointParams()
    """The judge's endpoint; used if `by` is endpoint."""
    model: ModelParams = ModelParams()
    """The judge as a local model; used if `by` is model."""
    suites: list[str] = []
    """Suites whose answers are judged; [] means all suites with free-text answers."""
    records: PositiveInt = 50
    """Maximum number of records of each suite, sampled evenly."""
    reference: bool = True
    """Whether the judge sees the reference answer."""
    dimensions: Annotated[list[str], Field(min_length=1)] = [
        "fluency",
        "relevance",
        "safety",
        "factuality",
    ]
    """Dimensions of data/rubric.yaml on which the answers are judged."""
    compare: list[Comparison] = [
        Comparison(variant="merged", against="base"),
        Comparison(variant="quantized", against="merged"),
    ]
    """Pairs of variants whose answers are compared, each in both orders."""
    score: list[Variant] = ["base", "merged", "quantized"]
    """Variants whose answers are scored from 1 (worst) to 5 (best); [] scores none."""

    @model_validator(mode="after")
    def _check(self) -> "JudgeParams":
        pairs = [frozenset((pair.variant, pair.against)) for pair in self.compare]
        lists: list[tuple[str, Sequence[Hashable]]] = [
            ("suites", self.suites),
            ("dimensions", self.dimensions),
            ("compare", pairs),
            ("score", self.score),
        ]
        for key, values in lists:
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: an entry is repeated; name each once")
        if self.by == "model" and not self.model.folder:
            raise ValueError("model.folder: empty; name the judge's folder, or set by: none")
        if self.by == "endpoint" and not self.endpoint.model:
            raise ValueError("endpoint.model: empty; name the judge, or set by: none")
        if self.by != "none" and not self.compare and not self.score:
            raise ValueError(
                "compare and score are both empty; name pairs or variants, or set by: none"
            )
        return self

    @property
    def variants(self) -> list[Variant]:
        """Variants whose answers are judged, in alphabetical order."""
        pairs = [variant for pair in self.compare for variant in (pair.variant, pair.against)]
        return sorted({*pairs, *self.score})
