"""What a judge is asked: the rubric as its system turn, the material as its user turn."""

import json
import re
from dataclasses import dataclass

from lockstep.judging.rubric import Rubric
from lockstep.records import Message, Record

_ACTIVE = re.compile("[<\\[\u0085\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation with a judge; equal ones are asked once."""

    system: str
    user: str

    @property
    def messages(self) -> list[Message]:
        """As chat models take it."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]


def pair(rubric: Rubric, record: Record, answers: tuple[str, str], reference: bool) -> Prompt:
    """Which of two answers is better, in the order in which they are shown."""
    shown = [("answer_a", answers[0]), ("answer_b", answers[1])]
    return Prompt(_system(rubric, rubric.pair), _user(record, shown, reference))


def scale(rubric: Rubric, record: Record, answer: str, reference: bool) -> Prompt:
    """How good one answer is."""
    return Prompt(_system(rubric, rubric.scale), _user(record, [("answer", answer)], reference))


def _system(rubric: Rubric, task: str) -> str:
    meanings = "\n".join(f"- {name}: {text.strip()}" for name, text in rubric.dimensions.items())
    return f"{rubric.instruction.strip()}\n\nDimensions:\n{meanings}\n\n{task.strip()}"


def _user(record: Record, shown: list[tuple[str, str]], reference: bool) -> str:
    parts = [(message["role"], _said(message)) for message in record.prompt]
    if reference:
        parts.append(("reference", record.answer))
    return "\n".join(f"{name}: {_quoted(text)}" for name, text in [*parts, *shown])


def _said(message: Message) -> str:
    plain = message.keys() == {"role", "content"}
    return message["content"] if plain else json.dumps(message, ensure_ascii=False, sort_keys=True)


def _quoted(text: str) -> str:
    """The text as a JSON string on one line, so that nothing in it ends it or begins a part.

    What chat templates write control tokens with (`<|im_end|>`, `[/INST]`) is escaped as well:
    many servers read such spellings as the tokens, wherever they stand.
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
