"""The section `serving` of params.yaml, which no stage reads."""

import difflib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from lockstep import params
from lockstep.errors import UserError
from lockstep.params import Fraction, NaturalInt, PositiveFloat, PositiveInt, Section
from lockstep.patterns import Pattern
from lockstep.serving.abtest_routing import PRODUCT
from lockstep.serving.drift_params import DriftParams

ModelName = Literal["tuned", "base"]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

S = TypeVar("S", bound=Section)
NAME = "serving"
"""Name of the section in params.yaml, which may be absent."""


class AbTestParams(Section):
    """An A/B test: the users who ask `tuned` are divided between two models (docs/abtests.md)."""

    plan: Annotated[str, Field(min_length=1)]
    """YAML file with the plan."""
    a: str
    """Name of the model that answers variant a, the present one."""
    b: str
    """Name of the model that answers variant b, the new one."""


class ServingParams(Section):
    """Settings of `make serve`; no result depends on them (docs/serving.md)."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than that of this machine (loopback) needs API keys."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 is a free one."""
    models: Annotated[list[ModelName], Field(min_length=1)] = ["tuned", "base"]
    """Models that are served: the tuned model, and the base for comparison."""
    folders: dict[FolderName, str] = {}
    """Further models: the name in requests, and the folder, e.g. a copy of data/quantized or
    data/merged of an earlier run."""
    abtest: AbTestParams | None = None
    """A/B test that runs; null is none."""
    engine: Literal["auto", "llama_cpp", "vllm", "transformers"] = "auto"
    """Program that generates; auto is llama_cpp, or transformers where llama.cpp lacks the model,
    and vllm with a GPU if it is installed."""
    context: PositiveInt | None = None
    """Maximum number of tokens of a prompt with its answer; null is that of the model, at most
    8192."""
    max_new_tokens: PositiveInt = 512
    """Maximum number of tokens of an answer; predict.max_new_tokens is the default of a request."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Temperature of requests that have none; 0 gives the answers that predict evaluates."""
    cache_prompt: bool = False
    """Whether llama.cpp reuses what an earlier request computed for the same beginning. It saves
    time in long conversations, and may change an answer in which two tokens are equally likely."""
    concurrent: PositiveInt = 4
    """Maximum number of requests that a model answers at a time."""
    queued: NaturalInt = 16
    """Maximum number of requests that wait for a model; the next one is refused."""
    queue_seconds: PositiveFloat = 10.0
    """Longest wait of a request before it is refused."""
    request_seconds: PositiveFloat = 120.0
    """Longest duration of an answer."""
    receive_seconds: PositiveFloat = 10.0
    """Longest time in which a client may send headers or a body, or reads nothing."""
    body_kib: PositiveInt = 256
    """Maximum size of a request's body, in KiB."""
    header_kib: PositiveInt = 16
    """Maximum size of a request's headers, in KiB."""
    requests_per_minute: NaturalInt = 600
    """Maximum number of requests per minute and API key; 0 disables this."""
    tokens_per_minute: NaturalInt = 200_000
    """Maximum number of tokens per minute and API key; 0 disables this. A request counts with its
    prompt and the longest answer that it allows."""
    keys_file: str = ""
    """File with the API keys, as hashes; LOCKSTEP_API_KEYS in the environment adds more."""
    log_texts: bool = False
    """Whether the lines on stderr have the texts of prompts and answers, and the user ids."""
    log_folder: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the logs of requests, feedback and outcomes (docs/serving.md); null keeps none."""
    log_share: Fraction = 1.0
    """Share of the requests whose texts are logged in the folder, with personal data masked."""
    log_patterns: list[Pattern] = Field(default=[])
    """Regular expressions whose matches are masked as well, e.g. those of customer numbers."""
    log_mib: PositiveInt = 64
    """Maximum size of each log in the folder, in MiB; its oldest lines are deleted beyond it."""
    shutdown_seconds: PositiveFloat = 30.0
    """Longest wait for running answers when the server is stopped."""
    drift: DriftParams = DriftParams()

    @field_validator("models")
    @classmethod
    def _refuse_repetitions(cls, models: list[ModelName]) -> list[ModelName]:
        if len(set(models)) != len(models):
            raise ValueError("a model is named twice")
        return models

    @model_validator(mode="after")
    def _check(self) -> "ServingParams":
        names = [*self.models, *self.folders]
        if len(set(names)) != len(names):
            raise ValueError("folders: a model is named as one of `models`; choose another name")
        if self.abtest is not None:
            self._check_abtest(self.abtest, names)
        return self

    def _check_abtest(self, abtest: AbTestParams, names: list[str]) -> None:
        for variant, name in (("a", abtest.a), ("b", abtest.b)):
            if name not in names:
                raise ValueError(
                    f"abtest.{variant}: {name} is not served; the models are {', '.join(names)} "
                    "(serving.models and serving.folders)"
                )
        if not self.log_folder:
            raise ValueError("abtest: it needs the log; set serving.log_folder")
        if abtest.a == abtest.b:
            raise ValueError("abtest: a and b are the same model; name two")
        if PRODUCT not in names:
            raise ValueError(
                f"abtest: it divides the requests for {PRODUCT}; add it to serving.models"
            )


def read_sections(schema: type[S]) -> S:
    """Read sections of params.yaml; raise UserError for mistakes, and for a misspelt `serving`."""
    names = params.parse(params.FILE).keys()
    near = difflib.get_close_matches(NAME, names, 1)
    if near and NAME not in names:
        raise UserError(f"{params.FILE}: {near[0]}: unknown section; did you mean {NAME}?")
    return params.read(schema)


def find_log(log_folder: str | None) -> Path:
    """Return the folder of the log that the gateway keeps; raise UserError without one."""
    if log_folder is None:
        raise UserError(
            f"{params.FILE}: serving.log_folder: the gateway keeps no log; set it, or name the "
            "folder of a log: LOG=folder"
        )
    return Path(log_folder)
