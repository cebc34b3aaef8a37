"""Keys of records: digests that are equal if questions, answers or groups are.

Case, width, blanks and the punctuation of prose do not count (`normalized_texts`), unless a turn
has nothing else. Numbers and signs do, and so do the task, system turns, roles, tools and calls.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from lockstep.data.normalized_texts import NormalizedTexts, normalize_texts
from lockstep.records import Message, Record

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
    answer_numbers: npt.NDArray[np.uint64]
    """Keys of the numbers of the answer that are not in the user turns: (records,). Two questions
    such as "Where is order 12?" have equal ones, two calculations have not."""


def compute_keys(records: Sequence[Record]) -> tuple[RecordKeys, NormalizedTexts]:
    """Return the keys of the records, and their normalized `user_text`."""
    turns = _Turns(records)
    inputs, contents, groups, contexts = [], [], [], []
    signs = turns.user_texts.hash_signs().tolist()
    for record, sign in zip(records, signs, strict=True):
        task = record.task.encode()
        tools = orjson.dumps(record.tools, option=orjson.OPT_SORT_KEYS) if record.tools else b""
        keys = turns.take_keys(record)
        question = _join(task, tools, *keys)
        inputs.append(question)
        contents.append(question + _dump_answer(record))
        groups.append(record.group.encode())
        system = (key for key in keys if key.startswith(b"system"))
        contexts.append(_join(task, tools, sign.to_bytes(8, "little"), *system))
    return RecordKeys(
        inputs=_digest_all(inputs),
        contents=_digest_all(contents),
        groups=_digest_all(groups),
        contexts=_digest_all(contexts)[:, 0],
        numbers=turns.user_texts.hash_numbers(),
        answer_numbers=_digest_all(map(_list_answer_numbers, records))[:, 0],
    ), turns.user_texts


def concatenate_keys(parts: Sequence[RecordKeys]) -> RecordKeys:
    """Return the keys of the records of all parts, in order."""
    return RecordKeys(
        inputs=np.concatenate([part.inputs for part in parts]),
        contents=np.concatenate([part.contents for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        contexts=np.concatenate([part.contexts for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        answer_numbers=np.concatenate([part.answer_numbers for part in parts]),
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
            count = len(user_texts)
            for message in record.prompt:
                texts = user_texts if message["role"] == "user" else other_texts
                texts.append(message["content"])
            if len(user_texts) == count:  # plain text, or a system turn alone
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

    def take_keys(self, record: Record) -> list[bytes]:
        """Return the keys of the turns before the answer; call it once for each record, in order.

        A key begins with the role of the turn.
        """
        keys = [self._make_key(message) for message in record.prompt]
        if all(message["role"] != "user" for message in record.prompt):
            keys.append(next(self._user_keys))
        return keys

    def _make_key(self, message: Message) -> bytes:
        role = message["role"]
        key = next(self._user_keys if role == "user" else self._other_keys)
        if "tool_calls" not in message:
            return f"{role} ".encode() + key
        calls = orjson.dumps(message["tool_calls"], option=orjson.OPT_SORT_KEYS)
        return _join(role.encode(), calls, key)


def _dump_answer(record: Record) -> bytes:
    answer = [record.messages[-1], record.rejected, record.desirable]
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS)


def _list_answer_numbers(record: Record) -> bytes:
    """Return the numbers of the answer that are not in the user turns; empty if there are none."""
    numbers = _NUMBER.findall(record.answer)
    if numbers:
        known = {*_NUMBER.findall(record.user_text)}
        numbers = [number for number in numbers if number not in known]
    return " ".join(numbers).encode()


def _join(*parts: bytes) -> bytes:
    """Join parts so that different parts never give the same bytes."""
    return b"".join(b"%d %b" % (len(part), part) for part in parts)


def _digest_all(contents: Iterable[bytes]) -> Keys:
    return np.frombuffer(b"".join(map(_digest, contents)), np.uint64).reshape(-1, 2)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest() if content else bytes(16)
