"""Perturb test records, to see whether the model gives the same answer (statistics.robustness).

A perturbed record names its parent and the perturbation in its slices, so robustness follows from
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

from lockstep.metrics import json_answers
from lockstep.params import Fraction, NaturalInt, PositiveFloat, PositiveInt, Section
from lockstep.predictions import PARENT, PERTURBATION, Prediction
from lockstep.records import Record
from lockstep.suites import GENERATED_FORMS, LABEL_FORMS, AnswerForm, Suite

Kind = Literal["resample", "typos", "case", "spaces", "options"]

_LETTERS = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{3,}|[\u3400-\u9fff]{3,}")
_GAP = re.compile(r"(?<=\S) (?=\S)|(?<=[\u3400-\u9fff])(?=[\u3400-\u9fff])")


class RobustnessParams(Section):
    """Which test records are perturbed, and how."""

    tasks: list[str] = []
    """Tasks whose records are perturbed; [] takes all suites whose answers are labels."""
    records: NaturalInt = 40
    """Number of records of each task, sampled evenly; 0 disables this."""
    kinds: Annotated[list[Kind], Field(min_length=1)] = ["typos", "case", "spaces"]
    """Perturbations: typos, case (capitals) and spaces change the last user turn, options changes
    the order of the labels that a turn lists, resample samples another answer to the same
    prompt."""
    repeats: PositiveInt = 1
    """Number of perturbed records of each kind that is drawn at random."""
    temperature: PositiveFloat = 0.7
    """Sampling temperature of resample."""
    rate: Fraction = 0.2
    """Share of the words that typos changes, and of the gaps that spaces fills; at least one."""
    paraphrases: str = ""
    """Slice whose value says which records ask the same; "" if the data has no paraphrases."""

    def covers(self, suite: Suite) -> bool:
        """Whether the records of a suite are perturbed."""
        if not self.records:
            return False
        return suite.task in self.tasks if self.tasks else suite.answer in LABEL_FORMS


def perturb(
    record: Record,
    form: AnswerForm,
    labels: Sequence[str],
    settings: RobustnessParams,
    seed: int,
) -> list[Record]:
    """Return the perturbed versions of a record, without duplicates of it or of each other.

    What the reference takes from the question stays as it is, and so do digits. `resample` repeats
    the record itself, under its own id, if the model generates: a chosen answer does not vary.
    """
    versions, known = [], {record.id}
    for kind in settings.kinds:
        if kind == "resample" and form not in GENERATED_FORMS:
            continue
        for number in range(settings.repeats):
            draw = random.Random(_digest(seed, kind, number, record.id))
            version = _perturb(record, kind, labels, settings.rate, draw)
            if kind == "resample" or version.id not in known:
                known.add(version.id)
                versions.append(_link(version, record.id, kind))
    return versions


def is_resampled(record: Record) -> bool:
    """Whether a perturbed record asks the same prompt again."""
    return record.slices[PERTURBATION] == "resample"


def link_paraphrases(predictions: Iterable[Prediction], by: str) -> list[Prediction]:
    """Return the predictions that have the slice `by`; the first one of each value is the parent
    of the others."""
    first: dict[tuple[str, str], str] = {}
    result = []
    for row in predictions:
        if by in row.slices:
            parent = first.setdefault((row.task, row.slices[by]), row.id)
            links = {} if parent == row.id else {PARENT: parent, PERTURBATION: "paraphrase"}
            result.append(replace(row, slices={**row.slices, **links}))
    return result


def _perturb(
    record: Record, kind: Kind, labels: Sequence[str], rate: float, draw: random.Random
) -> Record:
    if kind == "resample" or not record.question:  # plain text has no question
        return record
    if kind == "options":
        return _reorder_labels(record, labels, draw)
    protected = _copied_texts(record)
    changes: dict[str, Callable[[str], str]] = {
        "typos": lambda text: _replace(text, _WORD, protected, rate, draw, _mistype),
        "spaces": lambda text: _replace(
            text, _GAP, protected, rate, draw, lambda gap, _: gap + " "
        ),
        "case": lambda text: _replace(
            text, _LETTERS, protected, 1.0, draw, lambda word, _: word.upper()
        ),
    }
    return record.with_question(changes[kind], record.origin)


def _mistype(word: str, draw: random.Random) -> str:
    """Return the word with a typing error inside: two letters swapped, one missing or doubled."""
    place = draw.randrange(1, len(word) - 1)
    first, second = word[place], word[place + 1]
    error = draw.choice((second + first, first, first + first + second))
    return word[:place] + error + word[place + 2 :]


def _reorder_labels(record: Record, labels: Sequence[str], draw: random.Random) -> Record:
    """Shuffle the labels in the first turn that lists each of them once."""
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


def _replace(
    text: str,
    pattern: re.Pattern[str],
    protected: Sequence[str],
    rate: float,
    draw: random.Random,
    change: Callable[[str, random.Random], str],
) -> str:
    """Change a share of the pattern's matches that lie outside of the protected texts."""
    spans = [
        match.span()
        for part in protected
        for match in json_answers.compile_whole_text(part).finditer(text)
    ]
    places = [
        match.span()
        for match in pattern.finditer(text)
        if not any(match.start() < end and begin < match.end() for begin, end in spans)
    ]
    count = min(len(places), max(1, round(rate * len(places))))
    for begin, end in sorted(draw.sample(places, count), reverse=True):
        text = text[:begin] + change(text[begin:end], draw) + text[end:]
    return text


def _copied_texts(record: Record) -> list[str]:
    """Return what the reference copies from the question: itself, or values of its JSON."""
    values = [value for _, value in json_answers.count_leaves(record.answer)]
    return [text for text in (record.answer, *values) if text and text in record.question]


def _link(record: Record, parent: str, kind: Kind) -> Record:
    slices = {**record.slices, PARENT: parent, PERTURBATION: kind}
    return replace(record, slices=slices, origin=f"{parent}:{kind}")


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()
