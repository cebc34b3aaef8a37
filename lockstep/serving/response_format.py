"""The bodies of answers in the form of OpenAI's API: whole, and as events of a stream."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

DONE = b"data: [DONE]\n\n"
"""Last event of a stream."""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form of one answer."""

    kind: Literal["chat", "text"]
    id: str
    model: str
    created: int = field(default_factory=lambda: int(time.time()))

    def build(
        self, text: str, reasoning: str, finish_reason: str, usage: dict[str, int]
    ) -> dict[str, Any]:
        """Return a whole answer."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason, "logprobs": None}
        if self.kind == "chat":
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            if reasoning:
                choice["message"]["reasoning_content"] = reasoning
            return {**self._head("chat.completion"), "choices": [choice], "usage": usage}
        choice["text"] = text
        return {**self._head("text_completion"), "choices": [choice], "usage": usage}

    def write_start(self) -> Iterator[bytes]:
        """Yield the event that opens a stream, if there is one."""
        if self.kind == "chat":
            yield self._write_chunk({"delta": {"role": "assistant", "content": ""}})

    def write_text(self, text: str) -> bytes:
        """Return the event with a part of the text."""
        content = {"delta": {"content": text}} if self.kind == "chat" else {"text": text}
        return self._write_chunk(content)

    def write_end(self, finish_reason: str, usage: dict[str, int] | None) -> Iterator[bytes]:
        """Yield the events that close a stream; `usage` has one of its own."""
        content: dict[str, Any] = {"delta": {}} if self.kind == "chat" else {"text": ""}
        yield self._write_chunk({**content, "finish_reason": finish_reason})
        if usage is not None:
            yield write_event({**self._chunk_head(), "choices": [], "usage": usage})
        yield DONE

    def _write_chunk(self, content: dict[str, Any]) -> bytes:
        choice = {"index": 0, "finish_reason": None, "logprobs": None, **content}
        return write_event({**self._chunk_head(), "choices": [choice]})

    def _chunk_head(self) -> dict[str, Any]:
        return self._head("chat.completion.chunk" if self.kind == "chat" else "text_completion")

    def _head(self, name: str) -> dict[str, Any]:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}


def write_event(value: dict[str, Any]) -> bytes:
    """Return an event of a stream with a value as JSON."""
    return b"data: " + orjson.dumps(value) + b"\n\n"
