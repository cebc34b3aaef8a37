"""Turns that do not name their roles: alternating texts, pairs, and objects with a key per role.

UltraChat, SODA and LCCC have `["hi", "hello"]`, Firefly's multi-turn data and MOSS
`[{"human": "hi", "assistant": "hello"}]`, and others `[["hi", "hello"]]`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from lockstep.data.rows import field_synonyms, row_fields, turn_parsing
from lockstep.data.sources import Source

_ROLES = ("system", "user", "assistant")
"""Roles that a key or the beginning of a text may name, in the order of the turns."""
_KEYS = {
    **dict.fromkeys(("question", "prompt", "instruction", "query", "input", "q"), "user"),
    **dict.fromkeys(("answer", "response", "output", "completion", "a"), "assistant"),
}
"""Keys, beside names of roles, that hold a question or an answer."""
_NAME = re.compile(r"\s*([^\s:：]{1,30})\s?[:：]\s*")
"""Name of a speaker at the beginning of a text."""


def have_roles(turns: list[Any]) -> bool:
    """Whether the first of some turns names its role, as in most files."""
    return bool(turns) and isinstance(turns[0], dict) and ("role" in turns[0] or "from" in turns[0])


def add_roles(turns: list[Any], source: Source) -> list[Any]:
    """Return turns as objects with a role and a content; other turns stay as they are.

    Texts alternate between user and assistant, unless each begins with the name of a speaker
    (`Human: …`). A list of two texts is a question with its answer, unless each list begins with
    the name of a role. A last pair without an answer is a question. Objects alternate as well if
    they have a text and none of them has a key for a role.
    """
    if turns and all(isinstance(turn, str) for turn in turns):
        return _read_named_texts(turns, source) or _alternate(turns)
    if turns and all(_is_pair(turn) for turn in turns):
        roles = [turn_parsing.look_up_role(turn[0], source) for turn in turns]
        if all(roles):
            return [
                {"role": role, "content": turn[1]}
                for role, turn in zip(roles, turns, strict=True)
            ]  # fmt: skip
        return _drop_empty_end([text for pair in turns for text in pair])
    if len(turns) > 1 and all(_is_text_alone(turn, source) for turn in turns):
        alternating = cycle(("user", "assistant"))
        return [{**turn, "role": role} for turn, role in zip(turns, alternating, strict=False)]
    return [part for turn in turns for part in _split_object(turn, source)]


def split_text(text: str, separator: str) -> list[str]:
    """Return the texts between separators, without an empty one at the end."""
    texts = [part.strip() for part in text.split(separator)]
    return texts if texts[-1] else texts[:-1]


def alternate_before(texts: Sequence[str], last_role: str, source: Source) -> list[dict[str, Any]]:
    """Return the turns of texts of which the last one has a role, unless all name their speaker."""
    begins_with_user = (len(texts) % 2 == 1) == (last_role == "user")
    turns = _alternate(texts) if begins_with_user else _alternate(["", *texts])[1:]
    return _read_named_texts(texts, source) or turns


def _is_text_alone(turn: Any, source: Source) -> bool:
    """Whether a turn is an object with a text, in which no key says whose text it is."""
    if not isinstance(turn, dict) or turn.keys().isdisjoint(field_synonyms.CONTENT_KEYS):
        return False
    return not any(
        key in ("name", *field_synonyms.ROLE_KEYS)
        or key.lower() in _KEYS
        or turn_parsing.look_up_role(key, source)
        for key in turn
        if isinstance(key, str) and key not in source.ignored_fields
    )


def _is_pair(turn: Any) -> bool:
    """Whether a turn is a list of a text with another one, or with null."""
    return (
        isinstance(turn, list)
        and len(turn) == 2
        and isinstance(turn[0], str)
        and isinstance(turn[1], str | None)
    )


def _read_named_texts(texts: Sequence[str], source: Source) -> list[dict[str, Any]]:
    """Return the turns of texts that all begin with the name of a speaker; none for others."""
    marks = [_NAME.match(text) for text in texts]
    roles = [mark and turn_parsing.look_up_role(mark[1], source) for mark in marks]
    if len(texts) > 1 and set(roles) <= {*_ROLES} and {"user", "assistant"} <= {*roles}:
        return [
            {"role": role, "content": text[mark.end() :]}
            for role, mark, text in zip(roles, marks, texts, strict=True)
            if mark
        ]
    return []


def _alternate(texts: Sequence[str | None]) -> list[dict[str, Any]]:
    return [
        {"role": role, "content": text}
        for role, text in zip(cycle(("user", "assistant")), texts, strict=False)
    ]


def _drop_empty_end(texts: list[str | None]) -> list[dict[str, Any]]:
    """Return alternating turns without a last answer that is empty."""
    return _alternate(texts if texts[-1] else texts[:-1])


def _split_object(turn: Any, source: Source) -> Iterator[Any]:
    """Yield a turn for each key of an object that stands for a role; its other keys go to the last.

    An object that names its role, or that has the text of a turn, is a turn itself.
    """
    own_keys = (*field_synonyms.ROLE_KEYS, *field_synonyms.CONTENT_KEYS)
    if not isinstance(turn, dict) or any(key in turn for key in own_keys):
        yield turn
        return
    keys: dict[str, str] = {}
    for key, value in turn.items():
        role = _KEYS.get(key.lower()) or turn_parsing.look_up_role(key, source)
        is_text = not row_fields.is_empty(value) and key not in field_synonyms.IGNORED_KEYS
        if role in _ROLES and is_text and key not in source.ignored_fields:
            if role in keys:  # two questions or two answers
                yield turn
                return
            keys[role] = key
    if not keys:
        yield turn
        return
    rest = {key: value for key, value in turn.items() if key not in keys.values()}
    roles = [role for role in _ROLES if role in keys]
    for role in roles[:-1]:
        yield {"role": role, "content": turn[keys[role]]}
    yield {**rest, "role": roles[-1], "content": turn[keys[roles[-1]]]}
