"""Reasoning in the text of an answer between the marks of OpenThoughts and Sky-T1.

Reasoning between `<think>` and `</think>` stays in the text.
"""

import re

from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.row_fields import REASONING_MARKS
from lockstep.records import Message

_BEGIN = REASONING_MARKS[0]
_ANSWER = re.compile(
    r"\s*{}\s*(?P<reasoning>.+?)\s*{}\s*{}\s*(?P<answer>.+?)\s*{}\s*".format(
        *map(re.escape, REASONING_MARKS)
    ),
    re.DOTALL,
)


def read_reasoning(parsed: Conversation) -> None:
    """Move the reasoning between such marks to its key; a text of another form stays as it is."""
    for index, message in enumerate(parsed.messages):
        if _BEGIN in message["content"] and message["role"] == "assistant":
            parsed.messages[index] = _split_reasoning(message)
    if isinstance(parsed.rejected, str) and _BEGIN in parsed.rejected:
        rejected = _split_reasoning({"role": "assistant", "content": parsed.rejected})
        parsed.rejected = rejected if "reasoning_content" in rejected else parsed.rejected


def _split_reasoning(message: Message) -> Message:
    match = _ANSWER.fullmatch(message["content"])
    if match is None or message.get("reasoning_content"):
        return message
    return {**message, "content": match["answer"], "reasoning_content": match["reasoning"]}
