"""Keys of records: digests that are equal if questions, answers or groups are.

Case, width, blanks and the punctuation of prose do not count (`normalized_texts`), unless a turn
has nothing else. Numbers and signs do, and so do the task, system turns, roles, tools and calls.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from lockstep.data.normalized_texts import NormalizedTexts, normalize_texts
from lockstep.records import Message, Record, dump_json

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Keys = npt.NDArray[np.uint64]
"""128-bit digests, equal for equal contents: (records, 2). Zeros stand for no content."""


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """Keys of records."""

    inputs: Keys
    """Keys of the questions: all before the answer; for plain text, the text."""
    contents: Keys
    """Keys of questions and answers."""
    groups: Keys
    """Keys of the groups; zero if a record has none."""
    contexts: npt.NDArray[np.uint64]
    """Keys of what similar questions must share to be near-duplicates: (records,). These are the
    task, the system turns, the tools, and the signs in the user turns."""
    numbers: npt.NDArray[np.uint64]
    """Keys of the numbers in the user turns, in order; zero if there are none: (records,)."""


def compute_keys(records: Sequence[Record]) -> tuple[RecordKeys, NormalizedTexts]:
    """Return the keys of the records, and their normalized `user_text`."""
    turns = _Turns(records)
    inputs, contents, contexts = [], [], []
    digest_context = cache(_digest_parts)  # most records have the same one
    for record, sign in zip(records, turns.user_texts.hash_signs().tolist(), strict=True):
        turn_keys, system = turns.take_keys(record.messages)
        tools = dump_json(record.tools, sort_keys=True) if record.tools else b""
        context = digest_context(record.task, tools, sign, *system)
        question = _digest(context + turn_keys)
        answer: list[Any] = [record.messages[-1], record.rejected, record.desirable]
        if record.margin is not None or record.accepted_calls is not None:
            answer += [record.margin, record.accepted_calls]
        inputs.append(question)
        contents.append(_digest(question + dump_json(answer, sort_keys=True)))
        contexts.append(context[:8])
    groups = [_digest(record.group.encode()) if record.group else bytes(16) for record in records]
    keys = RecordKeys(
        inputs=_build_keys(inputs),
        contents=_build_keys(contents),
        groups=_build_keys(groups),
        contexts=np.frombuffer(b"".join(contexts), np.uint64),
        numbers=turns.user_texts.hash_numbers(),
    )
    return keys, turns.user_texts


def compute_answer_numbers(records: Sequence[Record]) -> npt.NDArray[np.uint64]:
    """Return keys of the numbers of each answer that are not in the user turns: (records,).

    Two questions such as "Where is order 12?" have equal ones, two calculations have not.
    """
    return _build_keys([_digest(_list_answer_numbers(record)) for record in records])[:, 0]


def concatenate_keys(parts: Sequence[RecordKeys]) -> RecordKeys:
    """Return the keys of the records of all parts, in order."""
    return RecordKeys(
        inputs=np.concatenate([part.inputs for part in parts]),
        contents=np.concatenate([part.contents for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        contexts=np.concatenate([part.contexts for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
    )


def find_single_answers(
    records: Sequence[Record], rated_sources: Collection[str]
) -> npt.NDArray[np.bool_]:
    """Return which records have the one right answer, so that others are conflicts: (records,).

    Plain text has no question. Preferences, good and bad answers, and ratings come in several for
    one question.
    """
    is_single = [
        len(record.messages) > 1
        and record.rejected is None
        and record.desirable is None
        and record.source not in rated_sources
        for record in records
    ]
    return np.array(is_single, bool)


class _Turns:
    """Normalized turns of records; those of the user come first, so that they are neighbours."""

    def __init__(self, records: Sequence[Record]) -> None:
        user_texts: list[str] = []
        other_texts: list[str] = []
        ends = [0]
        for record in records:
            for message in record.messages[:-1]:
                texts = user_texts if message["role"] == "user" else other_texts
                texts.append(message["content"])
            if len(user_texts) == ends[-1]:  # plain text, or a system turn alone
                user_texts.append(record.answer)
            ends.append(len(user_texts))
        texts = [*user_texts, *other_texts]
        normalized = normalize_texts(texts)
        keys = [
            key or text.encode() for key, text in zip(normalized.make_keys(), texts, strict=True)
        ]
        self.user_texts = normalized.merge(normalized.offsets[ends])
        """Text of all user turns of each record (`Record.user_text`)."""
        self._user_keys = iter(keys[: len(user_texts)])
        self._other_keys = iter(keys[len(user_texts) :])

    def take_keys(self, messages: Sequence[Message]) -> tuple[bytes, list[bytes]]:
        """Return the keys of the turns before the answer, joined, and those of the system turns.

        Call it once for each record, in order. A key begins with the role of the turn and the
        length of the rest, so that different turns never give the same bytes.
        """
        parts, system, has_user = [], [], False
        for message in messages[:-1]:
            if (role := message["role"]) == "user":
                has_user = True
                key = next(self._user_keys)
            else:
                key = next(self._other_keys)
            if "tool_calls" in message:
                key += dump_json(message["tool_calls"], sort_keys=True)
            parts.append(f"{role} {len(key)} ".encode() + key)
            if role == "system":
                system.append(key)
        if not has_user:
            parts.append(next(self._user_keys))
        return b"".join(parts), system


def _list_answer_numbers(record: Record) -> bytes:
    """Return the numbers of the answer that are not in the user turns; empty if there are none."""
    numbers = _NUMBER.findall(record.answer)
    if numbers:
        known = {*_NUMBER.findall(record.user_text)}
        numbers = [number for number in numbers if number not in known]
    return " ".join(numbers).encode()


def _build_keys(digests: list[bytes]) -> Keys:
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def _digest_parts(*parts: str | bytes | int) -> bytes:
    return _digest(repr(parts).encode())


def _digest(content: bytes) -> bytes:
    return xxhash.xxh3_128_digest(content)  # a tenth of the time of a cryptographic hash
