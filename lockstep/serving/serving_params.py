"""The section `serving` of params.yaml, which no stage reads."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from lockstep.params import Fraction, NaturalInt, PositiveFloat, PositiveInt, Section
from lockstep.patterns import Pattern

ModelName = Literal["tuned", "base"]


class ServingParams(Section):
    """Settings of `make serve`; no result depends on them (docs/serving.md)."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than that of this machine (loopback) needs API keys."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 is a free one."""
    models: Annotated[list[ModelName], Field(min_length=1)] = ["tuned", "base"]
    """Models that are served: the tuned model, and the base for comparison."""
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
    """Longest time in which a client may send the headers or the body of a request."""
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

    @field_validator("models")
    @classmethod
    def _refuse_repetitions(cls, models: list[ModelName]) -> list[ModelName]:
        if len(set(models)) != len(models):
            raise ValueError("a model is named twice")
        return models
