"""A model with its engine, as the gateway answers by it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.records import Message, Record
from lockstep.serving import api_requests
from lockstep.serving.engine_protocol import Engine
from lockstep.serving.request_limits import Slots


@dataclass(slots=True)
class ServedModel:
    """A model with its engine."""

    name: str
    tokenizer: ChatTokenizer
    engine: Engine
    slots: Slots
    context: int
    """Maximum number of tokens of a prompt with its answer."""
    max_length: int
    """Number of tokens to which the input of a model with a head is truncated."""
    default_tokens: int
    """Maximum number of tokens of an answer if the request does not say."""
    head: Head | None = None
    is_ready: Callable[[], bool] = lambda: True
    restarts: Callable[[], int] = lambda: 0
    created: int = field(default_factory=lambda: int(time.time()))


def encode_input(messages: list[Message], model: ServedModel) -> list[int]:
    """Return the input of a model with a head, as predict encodes it."""
    if model.tokenizer.has_template:
        return api_requests.encode_messages(messages, model.tokenizer)[: model.max_length]
    turns = [*messages, {"role": "assistant", "content": ""}]
    record = Record(messages=turns, task="", source="", origin="")
    return model.tokenizer.encode_input(record, model.max_length)[0]
