"""Parents and children: who gets one, what it must keep, why one is left out."""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.data import duplicates, fields
from lockstep.data.rejection import UnfitError
from lockstep.records import Record

_DIGITS = re.compile(r"\d+")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


def chosen(parents: Iterable[Record], name: str, share: float, seed: int) -> list[Record]:
    """The share of the parents that a hash of seed, method and id picks."""
    return [parent for parent in parents if draw(parent, name, seed).random() < share]


def draw(parent: Record, name: str, seed: int) -> random.Random:
    """The random numbers of one parent and one method, whatever the others are."""
    return random.Random(hashlib.sha256(f"{seed}/{name}/{parent.id}".encode()).digest())


def protected(record: Record) -> list[str]:
    """What must stay: what the answer takes from the question (JSON values, numbers in both), and
    blocks of code."""
    values = [value for value in _json_values(record.answer) if value in record.question]
    code = _CODE.findall(record.question)
    numbers = set(_DIGITS.findall(record.question)) & set(_DIGITS.findall(record.answer))
    return [*values, *code, *sorted(numbers)]


def _json_values(text: str) -> list[str]:
    """Every text and number in a JSON object or list of them, tool calls' arguments included."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return list(_leaves(value)) if isinstance(value, dict | list) else []


def _leaves(value: Any) -> Iterable[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _unfit(text: str) -> str | None:
    """Why `prepare` would not take the text for a turn, or None."""
    try:
        fields.check_texts(fields.checked(text, "text"))
    except UnfitError as unfit:
        return "empty" if str(unfit) == "empty_text" else str(unfit)
    return None


def _always(text: str) -> Callable[[str], str]:
    return lambda _: text


@dataclass(slots=True)
class Nursery:
    """The children that are fit for training, and how many were not and why."""

    known: set[str]
    """Ids of the training records."""
    held_out: Sequence[str]
    """What validation and test records ask."""
    similarity: float
    max_children: int
    children: list[Record] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    _of: dict[str, int] = field(default_factory=dict)

    def admit(self, name: str, parents: Sequence[Record], texts: Sequence[str]) -> None:
        """Make a child of each parent with the text as its question, if it is fit."""
        tally = self.counts.setdefault(name, {"kept": 0})
        born = []
        for parent, text in zip(parents, texts, strict=True):
            reason = _unfit(text)
            if reason:
                tally[reason] = tally.get(reason, 0) + 1
            else:
                child = parent.with_question(_always(text), f"{parent.id}:{name}")
                born.append((parent, child))
        asked = [child.user_text for _, child in born]
        leaks = duplicates.beside(asked, self.held_out, self.similarity)
        for place, (parent, child) in enumerate(born):
            reason = self._fault(parent, child, place in leaks)
            tally[reason or "kept"] = tally.get(reason or "kept", 0) + 1
            if reason is None:
                self.known.add(child.id)
                self._of[parent.id] = self._of.get(parent.id, 0) + 1
                self.children.append(child)

    def _fault(self, parent: Record, child: Record, leaks: bool) -> str | None:
        """Why a child is not fit for training, or None."""
        if child.question == parent.question:
            return "unchanged"
        if child.id in self.known:
            return "duplicate"
        if leaks:
            return "near_identical_to_held_out"
        if any(value not in child.question for value in protected(parent)):
            return "answer_no_longer_in_question"
        if self._of.get(parent.id, 0) >= self.max_children:
            return "enough_children"
        return None
