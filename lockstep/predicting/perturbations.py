"""The same question put otherwise, to see how far the answers agree (scoring.stability).

A varied record names its parent and the variation in its slices, so that the figures follow from
predictions alone.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Annotated, Literal

from pydantic import Field

from lockstep.metrics import rules, scores
from lockstep.metrics.suites import WRITTEN, Answer
from lockstep.params import Fraction, PositiveFloat, PositiveInt, Section
from lockstep.predictions import Prediction
from lockstep.records import Record

Variation = Literal["again", "typos", "case", "spaces", "options"]
PARENT, VARIATION = "parent", "variation"
"""Slices of a varied record: the id of the one that it was made of, and how."""

_LETTERS = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{3,}|[\u3400-\u9fff]{3,}")
_GAP = re.compile(r"(?<=\S) (?=\S)|(?<=[\u3400-\u9fff])(?=[\u3400-\u9fff])")


class Stability(Section):
    """Which records are varied, and how."""

    tasks: list[str]
    """Of suites; empty: nothing is varied."""
    records: PositiveInt
    """So many of each task, evenly spread."""
    variations: Annotated[list[Variation], Field(min_length=1)]
    """again: the same prompt, to be answered by sampling; typos, case (capitals), spaces: of the
    last user turn; options: another order of the labels that a turn lists."""
    repeats: PositiveInt
    """Varied records of each kind that is drawn at random, and samples of `again`."""
    temperature: PositiveFloat
    """Of the sampling of `again`."""
    rate: Fraction
    """Share of the words that typos change, and of the gaps that spaces fill; at least one."""
    paraphrases: str
    """A slice: records with the same value of it ask the same; empty: there are none."""


def varied(
    record: Record, answer: Answer, labels: Sequence[str], chosen: Stability, seed: int
) -> list[Record]:
    """The record put otherwise, without what equals it or another; `again` alone repeats it, where
    the model writes: what it chooses is no matter of chance.

    What the expected answer takes from the question stays as it is, and so do digits. Records of
    `again` have one id, their parent's: what is asked is the same.
    """
    found, known = [], {record.id}
    for name in chosen.variations:
        if name == "again" and answer not in WRITTEN:
            continue
        for number in range(chosen.repeats):
            draw = random.Random(_digest(seed, name, number, record.id))
            one = _varied(record, name, labels, chosen.rate, draw)
            if name == "again" or one.id not in known:
                known.add(one.id)
                found.append(_named(one, record.id, name))
    return found


def paraphrased(predictions: Iterable[Prediction], by: str) -> list[Prediction]:
    """The predictions that have a value of the slice, all but the first of each as its variants."""
    first: dict[tuple[str, str], str] = {}
    found = []
    for row in predictions:
        if by in row.slices:
            parent = first.setdefault((row.task, row.slices[by]), row.id)
            links = {} if parent == row.id else {PARENT: parent, VARIATION: "paraphrase"}
            found.append(replace(row, slices={**row.slices, **links}))
    return found


def _varied(
    record: Record, name: Variation, labels: Sequence[str], rate: float, draw: random.Random
) -> Record:
    if name == "again" or not record.question:  # plain text asks nothing
        return record
    if name == "options":
        return _reordered(record, labels, draw)
    kept = _kept(record)
    changes: dict[str, Callable[[str], str]] = {
        "typos": lambda text: _replaced(text, _WORD, kept, rate, draw, _mistyped),
        "spaces": lambda text: _replaced(text, _GAP, kept, rate, draw, lambda gap, _: gap + " "),
        "case": lambda text: _replaced(
            text, _LETTERS, kept, 1.0, draw, lambda word, _: word.upper()
        ),
    }
    return record.with_question(changes[name], record.origin)


def _mistyped(word: str, draw: random.Random) -> str:
    """A slip of the hand within the word: two letters exchanged, one left out or one doubled."""
    place = draw.randrange(1, len(word) - 1)
    one, other = word[place], word[place + 1]
    slip = draw.choice((other + one, one, one + one + other))
    return word[:place] + slip + word[place + 2 :]


def _reordered(record: Record, labels: Sequence[str], draw: random.Random) -> Record:
    """With another order of the labels in the first turn that has each of them once."""
    longest_first = sorted(labels, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    for place, message in enumerate(record.prompt):
        listed = pattern.findall(message["content"])
        if labels and sorted(listed) == sorted(labels):
            order = draw.sample(listed, len(listed))
            gaps = pattern.split(message["content"])
            content = "".join(chain.from_iterable(zip(gaps, [*order, ""], strict=True)))
            turns = [*record.messages]
            turns[place] = {**message, "content": content}
            return replace(record, messages=turns)
    return record


def _replaced(
    text: str,
    which: re.Pattern[str],
    kept: Sequence[str],
    rate: float,
    draw: random.Random,
    change: Callable[[str, random.Random], str],
) -> str:
    """The text with a share of what the pattern finds changed, outside of what is kept."""
    held = [found.span() for part in kept for found in rules.whole(part).finditer(text)]
    places = [
        found.span()
        for found in which.finditer(text)
        if not any(found.start() < end and begin < found.end() for begin, end in held)
    ]
    count = min(len(places), max(1, round(rate * len(places))))
    for begin, end in sorted(draw.sample(places, count), reverse=True):
        text = text[:begin] + change(text[begin:end], draw) + text[end:]
    return text


def _kept(record: Record) -> list[str]:
    """What the expected answer takes from the question: itself, or values of its JSON."""
    values = [value for _, value in scores.slots(record.answer)]
    return [one for one in (record.answer, *values) if one and one in record.question]


def _named(record: Record, parent: str, name: Variation) -> Record:
    slices = {**record.slices, PARENT: parent, VARIATION: name}
    return replace(record, slices=slices, origin=f"{parent}:{name}")


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()
