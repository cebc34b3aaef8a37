"""The bodies of answers in the form of OpenAI's API: whole, and as events of a stream."""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from lockstep.metrics.accepted_calls import Call

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
        self,
        text: str,
        reasoning: str,
        calls: Sequence[Call],
        finish_reason: str,
        usage: dict[str, int],
    ) -> dict[str, Any]:
        """Return a whole answer."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason, "logprobs": None}
        if self.kind == "chat":
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            if reasoning:
                choice["message"]["reasoning_content"] = reasoning
            if calls:
                choice["message"] |= {"content": text or None, "tool_calls": _build_calls(calls)}
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

    def write_calls(self, calls: Sequence[Call]) -> bytes:
        """Return the event with the calls of an answer."""
        values = [{"index": number, **call} for number, call in enumerate(_build_calls(calls))]
        return self._write_chunk({"delta": {"tool_calls": values}})

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


def _build_calls(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Return calls in OpenAI's form; an id has nine characters, as Mistral's templates demand."""
    return [
        {
            "id": uuid.uuid4().hex[:9],
            "type": "function",
            "function": {"name": name, "arguments": orjson.dumps(arguments).decode()},
        }
        for name, arguments in calls
    ]


def write_event(value: dict[str, Any]) -> bytes:
    """Return an event of a stream with a value as JSON."""
    return b"data: " + orjson.dumps(value) + b"\n\n"
