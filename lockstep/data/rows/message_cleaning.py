"""Cleaning of messages: content, reasoning and arguments, each by the steps of its role."""

from typing import Any

from lockstep.data.cleaning.cleaner import Cleaner, Role
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_fields
from lockstep.data.source_formats import Format
from lockstep.records import Message


class MessageCleaner:
    """Cleans the messages of one source, and rejects those that cannot be learnt."""

    def __init__(self, cleaner: Cleaner, format: Format, max_characters: int) -> None:
        self.cleaner, self.max_characters = cleaner, max_characters
        self.is_plain_text = format == "text"

    def clean_rejected(
        self, rejected: str | Message, answer: Message, changed: set[str]
    ) -> str | Message:
        """Return the clean rejected answer; raise InvalidRowError if it equals the chosen one."""
        message = (
            {"role": "assistant", "content": rejected} if isinstance(rejected, str) else rejected
        )
        message = self.clean(message, changed)
        if message == answer:
            raise InvalidRowError("chosen_equals_rejected", detail="after cleaning")
        return message["content"] if isinstance(rejected, str) else message

    def clean(self, message: Message, changed: set[str]) -> Message:
        """Return a message with clean content, reasoning and tool call arguments.

        Add the names of the steps that changed something to `changed`. Raise InvalidRowError if
        no text is left.
        """
        role: Role = "text" if self.is_plain_text else message["role"]
        text = message["content"]
        if len(message) == 2 and self._stays(text, role):  # most messages: role and content
            return message
        text = self._clean_text(text, role, changed)
        if not text.strip() and "tool_calls" not in message and message["role"] != "tool":
            raise InvalidRowError("empty_after_cleaning")
        if text is not message["content"]:
            message = {**message, "content": text}
        if "reasoning_content" in message:
            reasoning = self._clean_text(message["reasoning_content"], "reasoning", changed)
            message = {**message, "reasoning_content": reasoning}
        if "tool_calls" in message:
            calls = [self._clean_call(call, changed) for call in message["tool_calls"]]
            message = {**message, "tool_calls": calls}
        return message

    def _clean_call(self, call: dict[str, Any], changed: set[str]) -> dict[str, Any]:
        """Return a tool call with clean arguments; by default, no step changes them."""
        function = call["function"]
        arguments = self._clean_values(function["arguments"], changed)
        return {**call, "function": {**function, "arguments": arguments}}

    def _clean_values(self, value: Any, changed: set[str]) -> Any:
        if isinstance(value, str):
            return self._clean_text(value, "arguments", changed)
        if isinstance(value, list):
            return [self._clean_values(child, changed) for child in value]
        if isinstance(value, dict):
            return {key: self._clean_values(child, changed) for key, child in value.items()}
        return value

    def _stays(self, text: str, role: Role) -> bool:
        """Whether a quick check shows that a text is clean and not too long."""
        return len(text) <= self.max_characters and self.cleaner.is_clean(text, role)

    def _clean_text(self, text: str, role: Role, changed: set[str]) -> str:
        """Return the clean text.

        Raise InvalidRowError if it was decoded wrongly, is too long or has a control token.
        """
        if self._stays(text, role):
            return text
        if encoding := self.cleaner.guess_wrong_encoding(text, role):
            detail = (
                f"reads like {encoding} decoded as latin-1: set the source's encoding: {encoding}"
            )
            raise InvalidRowError("wrong_encoding", detail=detail)
        text, steps = self.cleaner.clean(text, role)
        if len(text) > self.max_characters:
            raise InvalidRowError(
                "too_long",
                detail=f"a text has {len(text)} characters, more than prepare.max_characters",
            )
        if ("<" in text or "[" in text) and (found := row_fields.CONTROL_TOKEN.search(text)):
            raise row_fields.make_token_error(found)
        changed |= steps
        return text
