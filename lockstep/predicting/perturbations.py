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
from typing import Annotated, Any, Literal

import regex
from pydantic import Field

from lockstep.metrics import json_answers
from lockstep.params import Fraction, NaturalInt, PositiveFloat, PositiveInt, Section
from lockstep.predictions import PARENT, PERTURBATION, Prediction
from lockstep.records import Record
from lockstep.segmentation import EXTEND, split_graphemes
from lockstep.suites import GENERATED_FORMS, LABEL_FORMS, AnswerForm, Suite

Kind = Literal["resample", "typos", "case", "spaces", "options"]

_LETTERS = regex.compile(rf"(?:[\p{{L}}\p{{Nl}}\p{{No}}]{EXTEND}*)+")
_WORD = regex.compile(
    rf"(?:[[\p{{L}}\p{{Nl}}\p{{No}}]--[\u3400-\u9fff]]{EXTEND}*){{3,}}|[\u3400-\u9fff]{{3,}}",
    regex.V1,
)
_GAP = re.compile(r"(?<=\S) (?=\S)|(?<=[\u3400-\u9fff])(?=[\u3400-\u9fff])")


class RobustnessParams(Section):
    """Which test records are perturbed, and how."""

    tasks: list[str] = []
    """Tasks whose records are perturbed; [] takes all suites whose answers are labels."""
    records: NaturalInt = 40
    """Number of records of each task, sampled evenly; 0 disables this."""
    kinds: Annotated[list[Kind], Field(min_length=1)] = ["typos", "case", "spaces"]
    """Kinds of perturbation. typos, case (all capitals) and spaces change the last user turn;
    options changes the order of the labels that a turn lists; resample samples another answer to
    the unchanged prompt."""
    repeats: PositiveInt = 1
    """Number of perturbed records of each kind that is drawn at random."""
    temperature: PositiveFloat = 0.7
    """Sampling temperature of resample."""
    rate: Fraction = 0.2
    """Share of words that `typos` changes, and of gaps between words that `spaces` widens; at least
    one of them is changed."""
    paraphrases: str = ""
    """Slice that has one value for all records that ask the same question; "" if the data has no
    paraphrases."""

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

    Texts that the reference copies from the question stay unchanged, and so do digits. `resample`
    repeats the record itself, under its own id. It needs a generated answer: a choice among labels
    is not sampled.
    """
    versions, known = [], {record.id}
    for kind in settings.kinds:
        if kind == "resample" and form not in GENERATED_FORMS:
            continue
        for number in range(settings.repeats):
            rng = random.Random(_hash_parts(seed, kind, number, record.id))
            version = _perturb_question(record, kind, labels, settings.rate, rng)
            if kind == "resample" or version.id not in known:
                known.add(version.id)
                versions.append(_link_to_parent(version, record.id, kind))
    return versions


def is_resampled(record: Record) -> bool:
    """Whether a perturbed record has an unchanged prompt, for which another answer is sampled."""
    return record.slices[PERTURBATION] == "resample"


def link_paraphrases(predictions: Iterable[Prediction], slice_name: str) -> list[Prediction]:
    """Return the predictions that have the slice, linked to each other.

    The first prediction of each value is the parent of the others.
    """
    first: dict[tuple[str, str], str] = {}
    result = []
    for row in predictions:
        if slice_name in row.slices:
            parent = first.setdefault((row.task, row.slices[slice_name]), row.id)
            links = {} if parent == row.id else {PARENT: parent, PERTURBATION: "paraphrase"}
            result.append(replace(row, slices={**row.slices, **links}))
    return result


def _perturb_question(
    record: Record, kind: Kind, labels: Sequence[str], rate: float, rng: random.Random
) -> Record:
    if kind == "resample" or not record.question:  # plain text has no question
        return record
    if kind == "options":
        return _reorder_labels(record, labels, rng)
    protected = _list_copied_texts(record)
    changes: dict[str, Callable[[str], str]] = {
        "typos": lambda text: _change_matches(text, _WORD, protected, rate, rng, _mistype),
        "spaces": lambda text: _change_matches(
            text, _GAP, protected, rate, rng, lambda gap, _: gap + " "
        ),
        "case": lambda text: _change_matches(
            text, _LETTERS, protected, 1.0, rng, lambda word, _: word.upper()
        ),
    }
    return record.with_question(changes[kind], record.origin)


def _mistype(word: str, rng: random.Random) -> str:
    """Return the word with a typing error inside: two letters swapped, one missing or doubled.

    Combining marks stay with their letter. A word of fewer than three letters with marks doubles
    its last one.
    """
    letters = split_graphemes(word)
    if len(letters) < 3:
        return word + letters[-1]
    position = rng.randrange(1, len(letters) - 1)
    first, second = letters[position : position + 2]
    error = rng.choice((second + first, first, first + first + second))
    return "".join([*letters[:position], error, *letters[position + 2 :]])


def _reorder_labels(record: Record, labels: Sequence[str], rng: random.Random) -> Record:
    """Shuffle the labels in the first turn that lists each of them once."""
    longest_first = sorted(labels, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    for index, message in enumerate(record.prompt):
        listed = pattern.findall(message["content"])
        if labels and sorted(listed) == sorted(labels):
            order = rng.sample(listed, len(listed))
            gaps = pattern.split(message["content"])
            content = "".join(chain.from_iterable(zip(gaps, [*order, ""], strict=True)))
            turns = [*record.messages]
            turns[index] = {**message, "content": content}
            return replace(record, messages=turns)
    return record


def _change_matches(
    text: str,
    pattern: Any,
    protected: Sequence[str],
    rate: float,
    rng: random.Random,
    change: Callable[[str, random.Random], str],
) -> str:
    """Change a share of the pattern's matches that lie outside of the protected texts."""
    protected_spans = [
        match.span()
        for part in protected
        for match in json_answers.compile_whole_text(part).finditer(text)
    ]
    spans = [
        match.span()
        for match in pattern.finditer(text)
        if not any(match.start() < end and begin < match.end() for begin, end in protected_spans)
    ]
    count = min(len(spans), max(1, round(rate * len(spans))))
    for begin, end in sorted(rng.sample(spans, count), reverse=True):
        text = text[:begin] + change(text[begin:end], rng) + text[end:]
    return text


def _list_copied_texts(record: Record) -> list[str]:
    """Return the texts in both reference and question: the whole reference, or its JSON values."""
    values = [value for _, value in json_answers.count_leaves(record.answer)]
    return [text for text in (record.answer, *values) if text and text in record.question]


def _link_to_parent(record: Record, parent: str, kind: Kind) -> Record:
    slices = {**record.slices, PARENT: parent, PERTURBATION: kind}
    return replace(record, slices=slices, origin=f"{parent}:{kind}")


def _hash_parts(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()
