"""Rephrased copies of training records, and the checks that each of them must pass."""

import hashlib
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.augmentation.augment_params import AugmentParams
from lockstep.augmentation.methods import Question, Resources
from lockstep.data import near_duplicates
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_fields
from lockstep.records import Record

_DIGITS = re.compile(r"\d+")
_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


@dataclass(slots=True)
class Augmentation:
    """Augmented records that passed all checks, and counts of those that did not."""

    known_ids: set[str]
    """Ids of all training records, the augmented ones included."""
    evaluation_texts: Sequence[str]
    """User turns of the validation and test records."""
    similarity: float
    """Jaccard similarity to an evaluation text at which an augmented record is discarded."""
    max_children: int
    """Maximum number of augmented records per training record."""
    records: list[Record] = field(default_factory=list)
    """Augmented records in the order in which they were added."""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of kept and discarded records, by method and reason."""
    _children: dict[str, int] = field(default_factory=dict)

    def add(self, method: str, parents: Sequence[Record], texts: Sequence[str]) -> None:
        """Copy each parent with its text as the question, and add the copies that pass."""
        counts = self.counts.setdefault(method, {"kept": 0})
        candidates = []
        for parent, text in zip(parents, texts, strict=True):
            problem = _find_text_problem(text)
            if problem:
                counts[problem] = counts.get(problem, 0) + 1
            else:
                candidates.append(
                    (parent, _replace_question(parent, text, f"{parent.id}:{method}"))
                )
        candidate_texts = [candidate.user_text for _, candidate in candidates]
        leaks = near_duplicates.find_near_texts(
            candidate_texts, self.evaluation_texts, self.similarity
        )
        for index, (parent, candidate) in enumerate(candidates):
            problem = self._find_problem(parent, candidate, index in leaks)
            counts[problem or "kept"] = counts.get(problem or "kept", 0) + 1
            if problem is None:
                self.known_ids.add(candidate.id)
                self._children[parent.id] = self._children.get(parent.id, 0) + 1
                self.records.append(candidate)

    def _find_problem(self, parent: Record, candidate: Record, leaks: bool) -> str | None:
        """Return the reason why an augmented record is not fit for training, or None."""
        if candidate.question == parent.question:
            return "unchanged"
        if candidate.id in self.known_ids:
            return "duplicate"
        if leaks:
            return "near_identical_to_held_out"
        if any(text not in candidate.question for text in find_protected_texts(parent)):
            return "answer_no_longer_in_question"
        if self._children.get(parent.id, 0) >= self.max_children:
            return "enough_children"
        return None


def augment_records(
    parents: Sequence[Record],
    evaluation_texts: Sequence[str],
    settings: AugmentParams,
    resources: Resources,
) -> Augmentation:
    """Apply each method to its share of the parents and check the results."""
    augmentation = Augmentation(
        {parent.id for parent in parents},
        evaluation_texts,
        settings.similarity,
        settings.max_children,
    )
    for method in settings.methods:
        applicable = [parent for parent in parents if method.applies_to(parent)]
        sampled = sample_records(applicable, method.method, method.share, resources.seed)
        questions = [
            Question(
                text=parent.question,
                rng=make_rng(parent, f"{method.method}/text", resources.seed),
                protected=find_protected_texts(parent),
            )
            for parent in sampled
        ]
        augmentation.add(method.method, sampled, method.rephrase(questions, resources))
    return augmentation


def sample_records(records: Iterable[Record], name: str, share: float, seed: int) -> list[Record]:
    """Sample a share of the records; each is drawn independently of the others."""
    return [record for record in records if make_rng(record, name, seed).random() < share]


def make_rng(record: Record, name: str, seed: int) -> random.Random:
    """Return a random generator seeded with the seed, a name and the record's id alone."""
    return random.Random(hashlib.sha256(f"{seed}/{name}/{record.id}".encode()).digest())


def find_protected_texts(record: Record) -> list[str]:
    """Return the parts of the question that a new wording must keep for the answer to stay right.

    These are values of a JSON answer, numbers that stand in the answer too, and blocks of code.
    """
    values = [value for value in _list_json_values(record.answer) if value in record.question]
    code_blocks = _CODE_BLOCK.findall(record.question)
    numbers = set(_DIGITS.findall(record.question)) & set(_DIGITS.findall(record.answer))
    return [*values, *code_blocks, *sorted(numbers)]


def _list_json_values(text: str) -> list[str]:
    """Return all texts and numbers in a JSON object or list, nested ones included."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return list(_walk_leaves(value)) if isinstance(value, dict | list) else []


def _walk_leaves(value: Any) -> Iterable[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _walk_leaves(part)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _find_text_problem(text: str) -> str | None:
    """Return the reason why `prepare` would reject the text as a turn, or None."""
    try:
        row_fields.check_all_texts(row_fields.check_text(text, "text"))
    except InvalidRowError as error:
        return "empty" if str(error) == "empty_text" else str(error)
    return None


def _replace_question(parent: Record, text: str, origin: str) -> Record:
    return parent.with_question(lambda question: text, origin)
