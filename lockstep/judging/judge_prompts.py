"""Prompts for a judge: the rubric is the system turn, the record and answers are the user turn."""

import json
import re
from dataclasses import dataclass

from lockstep.judging.rubric import Rubric
from lockstep.records import Message, Record

_CONTROL_CHARACTERS = re.compile("[<\\[\u0085\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation that is sent to the judge."""

    system: str
    user: str

    @property
    def messages(self) -> list[Message]:
        """Chat messages of the prompt."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]


def build_pair_prompt(
    rubric: Rubric, record: Record, answers: tuple[str, str], with_reference: bool
) -> Prompt:
    """Return a prompt that asks which of two answers, shown in this order, is better."""
    named_answers = [("answer_a", answers[0]), ("answer_b", answers[1])]
    return Prompt(
        _build_system_turn(rubric, rubric.pair),
        _build_user_turn(record, named_answers, with_reference),
    )


def build_score_prompt(rubric: Rubric, record: Record, answer: str, with_reference: bool) -> Prompt:
    """Return a prompt that asks for a score of one answer."""
    return Prompt(
        _build_system_turn(rubric, rubric.scale),
        _build_user_turn(record, [("answer", answer)], with_reference),
    )


def _build_system_turn(rubric: Rubric, instruction: str) -> str:
    dimensions = "\n".join(f"- {name}: {text.strip()}" for name, text in rubric.dimensions.items())
    return f"{rubric.instruction.strip()}\n\nDimensions:\n{dimensions}\n\n{instruction.strip()}"


def _build_user_turn(
    record: Record, named_answers: list[tuple[str, str]], with_reference: bool
) -> str:
    """Return the conversation, the reference and the answers, each on a line after its name."""
    parts = [(message["role"], _format_message(message)) for message in record.prompt]
    if with_reference:
        parts.append(("reference", record.answer))
    return "\n".join(f"{name}: {_quote(text)}" for name, text in [*parts, *named_answers])


def _format_message(message: Message) -> str:
    """Return the content of a message, or all of it as JSON if it has other fields too."""
    if message.keys() == {"role", "content"}:
        return message["content"]
    return json.dumps(message, ensure_ascii=False, sort_keys=True)


def _quote(text: str) -> str:
    """Return the text as a JSON string on one line, which no content can end early.

    The characters with which chat templates write control tokens (`<|im_end|>`, `[/INST]`) are
    escaped too: many servers parse such tokens anywhere in a message.
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return _CONTROL_CHARACTERS.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
