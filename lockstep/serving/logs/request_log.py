"""Records of answered and refused requests, and the loggers that receive them."""

import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from lockstep.metrics.refusals import is_refusal

log = logging.getLogger("lockstep.serving")

TEXTS = ("messages", "tools", "answer", "user")
"""Fields of a record that hold what people wrote, or who they are."""


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request and its response."""

    id: str
    """Id of the completion, and the header x-request-id."""
    time: float
    """Seconds since 1970 at which the request arrived."""
    endpoint: str
    key: str = ""
    """Name of the API key; empty if the request had none that is valid."""
    model: str = ""
    """Name of the model in the request."""
    answered_by: str = ""
    """Name of the model that answered."""
    variant: str = ""
    """Variant (a or b) of the A/B test that the user takes part in; empty outside of a test."""
    abtest: str = ""
    """Name of that A/B test."""
    user: str = ""
    """Parameter `user` of the request."""
    status: int = 200
    """HTTP status; that of the error if a stream broke."""
    error: str = ""
    """Code of the error; empty if the request was answered."""
    stream: bool = False
    queue_seconds: float = 0.0
    first_token_seconds: float | None = None
    seconds: float = 0.0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    finish_reason: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """Messages of the prompt; for a completion, one of the role `text`."""
    tools: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """Functions that the request offers."""
    answer: str = field(default="", repr=False)

    @property
    def refused(self) -> bool:
        """Whether the answer refuses the request, as `evaluate` decides it."""
        return is_refusal(self.answer)

    @property
    def failed(self) -> bool:
        """Whether the server failed the request, by an error of its own or a queue without room."""
        return self.status >= 500 or self.error in ("queue_full", "queue_timeout")


class RequestLogger(Protocol):
    """An object that receives the record of each request after its last byte.

    It runs in the event loop of the gateway, so slow work belongs into a thread. It writes texts
    only if the user asked for that.
    """

    def log(self, record: RequestRecord) -> None:
        """Take a record."""


@dataclass(frozen=True, slots=True)
class JsonLogger:
    """Write a line of JSON for each request on stderr."""

    with_texts: bool

    def log(self, record: RequestRecord) -> None:
        """Write a record, without its texts unless they were asked for."""
        values = {
            name: round(value, 4) if isinstance(value, float) else value
            for name in RequestRecord.__slots__
            if self.with_texts or name not in TEXTS
            if (value := getattr(record, name)) not in ("", None, [])
        }
        log.info(orjson.dumps(values).decode())
