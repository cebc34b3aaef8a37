"""Questions whose text holds several turns, and texts that begin with the name of a speaker.

Belle's dialogues have `Human: … Assistant: … Human: … Assistant:` in one instruction, HelpSteer2
`…<extra_id_1>Assistant …<extra_id_1>User …` in one prompt, and HuatuoGPT `问：…` with `答：…`. What
is read differently from its text is noted.
"""

import re
from collections.abc import Iterable, Mapping
from operator import ne
from typing import Any

from lockstep.data.rows import (
    message_parsing,
    rendered_chats,
    row_notes,
    transcripts,
    turns_without_roles,
)
from lockstep.data.rows.conversation import Conversation
from lockstep.data.sources import Source
from lockstep.records import Message

_PAIR_FORMATS = frozenset(["alpaca", "prompt_completion", "preference", "unpaired_preference"])
"""Formats whose questions and answers may be in columns of their own."""
_LOOSE_FAMILIES = ({"Q": "user", "A": "assistant"}, {"Question": "user", "Answer": "assistant"})
"""Names that mark a question and its answer, but that texts begin with for other reasons too."""


def _compile_names(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of a name at the beginning of a text that goes on after it."""
    longest_first = sorted({*names}, key=lambda name: (-len(name), name))
    return re.compile(rf"\s*({'|'.join(map(re.escape, longest_first))})\s?[:：]\s*(?=\S)")


_FAMILIES = (*transcripts.FAMILIES, *_LOOSE_FAMILIES)
_PAIRS = tuple({role: name for name, role in family.items()} for family in _FAMILIES)
"""Roles and their names in each family."""
_PATTERNS = {role: _compile_names(pair[role] for pair in _PAIRS) for role in ("user", "assistant")}
_COLON = frozenset(":：")
_NAME_ENDS = (":", "：")
_MARK = re.compile(r"\s*(?:[<\[#]|Below)")
"""The beginning of a text that chat templates may have written."""
_NEMO = "<extra_id_"
_MAX_NAME = 32
"""Number of characters at the beginning of a text in which a name and its colon are."""
_LOOSE_NAMES = {name for family in _LOOSE_FAMILIES for name in family}


def parse_question(value: Any, name: str, source: Source) -> tuple[list[Message], dict[str, str]]:
    """Return the messages of a question, and a note if its text holds the turns of a prompt."""
    if isinstance(value, str):
        if turns := transcripts.parse_transcript(value):
            return turns, {}
        if turns := _split_text(value, name, source):
            return turns, _note_turns(turns, name)
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        turns = turns_without_roles.alternate_before(value, "user", source)
        notes = {row_notes.TURNS_IN_LIST: f"{name} has {len(turns)}"} if len(turns) > 1 else {}
        return message_parsing.parse_messages(turns, name, source), notes
    return message_parsing.parse_text_or_messages(value, name, "user", source), {}


def parse_instruction(text: str, source: Source) -> tuple[list[Message], dict[str, str]]:
    """Return the messages of an instruction, and a note if it holds the turns of a prompt."""
    if turns := _split_text(text, "instruction", source):
        return turns, _note_turns(turns, "instruction")
    return [{"role": "user", "content": text}], {}


def _note_turns(turns: list[Message], name: str) -> dict[str, str]:
    return {row_notes.TURNS_IN_QUESTION: f"{name} has {len(turns)}"}


def _split_text(text: str, name: str, source: Source) -> list[Message]:
    """Return the turns in a text if they end with a question; none for any other text.

    The text ends where an answer of the assistant begins, or chat templates mark its turns.
    """
    if text.rstrip()[-1:] not in _NAME_ENDS and not _MARK.match(text) and _NEMO not in text:
        return []  # fast: most questions end here
    if text.count("[INST]") != text.count("[/INST]"):
        return []
    if rendered := rendered_chats.split_turns(text):
        turns = message_parsing.parse_messages(rendered, name, source)
    else:
        turns = transcripts.split_prompt(text, source)
    roles = [turn["role"] for turn in turns]
    roles = roles[1:] if roles[:1] == ["system"] else roles
    alternates = roles[:1] == ["user"] == roles[-1:] and all(map(ne, roles, roles[1:]))
    return turns if alternates and {*roles} <= {"user", "assistant"} else []


def read_speaker_names(parsed: Conversation, source: Source) -> None:
    """Drop the names of speakers before a question and its answer, or note that they stay.

    They are dropped, with a note, from formats with a column for each if both texts begin with the
    names of one dialogue, such as 问 and 答, or if `roles` of the source has the name.
    """
    messages = parsed.messages
    if len(messages) < 2 or messages[-2]["role"] != "user":
        return
    question, answer = messages[-2]["content"], messages[-1]["content"]
    if not source.roles and _COLON.isdisjoint(question[:_MAX_NAME] + answer[:_MAX_NAME]):
        return  # fast: most pairs end here
    user = _find_name(question, "user", source)
    assistant = _find_name(answer, "assistant", source)
    names = [name for name in (user, assistant) if name]
    if not names:
        return
    are_paired = {"user": user, "assistant": assistant}.items() <= _find_pair(user).items()
    is_certain = are_paired and user not in _LOOSE_NAMES
    are_own = all(name in source.roles for name in names)
    if source.format in _PAIR_FORMATS and (is_certain or are_own):
        messages[-2:] = [_drop_name(message, names) for message in messages[-2:]]
        if isinstance(parsed.rejected, str):
            parsed.rejected = _drop_from_text(parsed.rejected, names)
        parsed.notes[row_notes.NAMES_READ] = " and ".join(names)
    elif are_paired or not {*names} <= _LOOSE_NAMES:
        parsed.notes[row_notes.NAMES_LEARNT] = " and ".join(names)


def _find_name(text: str, role: str, source: Source) -> str:
    """Return the name of a role at the beginning of a text; "" if there is none."""
    own = [name for name, mapped in source.roles.items() if mapped == role]
    match = (own and _compile_names(own).match(text)) or _PATTERNS[role].match(text)
    return match[1] if match else ""


def _find_pair(user: str) -> Mapping[str, str]:
    """Return the family of names in which a user has this name; an empty one if there is none."""
    return next((pair for pair in _PAIRS if pair["user"] == user), {})


def _drop_name(message: Message, names: Iterable[str]) -> Message:
    return {**message, "content": _drop_from_text(message["content"], names)}


def _drop_from_text(text: str, names: Iterable[str]) -> str:
    match = _compile_names(names).match(text)
    return text[match.end() :] if match else text
