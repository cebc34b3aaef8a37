"""A model with its engine, as the gateway answers by it."""

import asyncio
import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.records import Message, Record
from lockstep.serving.api import api_requests
from lockstep.serving.api.request_limits import Slots
from lockstep.serving.engines.engine_protocol import Engine


class PromptEncoder:
    """Encodes prompts in a thread, since one of the maximum size may take half a second.

    It has a tokenizer of its own: encoding sets options of the tokenizer, while the event loop
    decodes answers by the other one.
    """

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        """Encode as a tokenizer does."""
        self._tokenizer = copy.deepcopy(tokenizer)
        self._thread = ThreadPoolExecutor(1, "encode")

    async def run(self, encode: Callable[[ChatTokenizer], list[int]]) -> list[int]:
        """Return what a function makes of the tokenizer."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, encode, self._tokenizer)


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
    encoder: PromptEncoder = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare the encoder."""
        self.encoder = PromptEncoder(self.tokenizer)


def encode_input(messages: list[Message], max_length: int, tokenizer: ChatTokenizer) -> list[int]:
    """Return the input of a model with a head, as predict encodes it."""
    if tokenizer.has_template:
        return api_requests.encode_messages(messages, tokenizer)[:max_length]
    turns = [*messages, {"role": "assistant", "content": ""}]
    record = Record(messages=turns, task="", source="", origin="")
    return tokenizer.encode_input(record, max_length)[0]
