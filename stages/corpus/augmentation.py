"""New phrasings of training records, in which the answer stays right."""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from stages.errors import Refusal
from stages.params import Fraction, Section
from stages.records import Record

Synonyms = dict[str, list[str]]

_UNIT = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:['’][^\W\d_]+)*|[\u3400-\u9fff]")
"""What deletion takes out: a word of an alphabet, or one Chinese character; never a digit."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_DIGITS = re.compile(r"\d+")


class Method(Section):
    """How much of one method."""

    share: Fraction
    """Share of the training records that get a child."""
    rate: Fraction
    """Share of the words changed in it, at least one."""


def delete(text: str, rate: float, draw: random.Random) -> str:
    """Random deletion (Wei and Zou, 2019, EDA): each word goes with equal chance."""
    units = list(_UNIT.finditer(text))
    if len(units) < 3:
        return text
    gone = draw.sample(units, min(max(1, round(rate * len(units))), len(units) - 1))
    for unit in sorted(gone, key=lambda match: match.start(), reverse=True):
        text = text[: unit.start()] + text[unit.end() :]
    return re.sub(r" {2,}", " ", text).strip()


def replace_synonyms(text: str, rate: float, draw: random.Random, synonyms: Synonyms) -> str:
    """Dictionary words give way to a synonym; the first letter keeps its case."""
    matches = _dictionary_pattern(synonyms).finditer(text)
    found = [match for match in matches if match.group().casefold() in synonyms]  # i is not ı
    if not found:
        return text
    chosen = draw.sample(found, max(1, round(rate * len(found))))
    for match in sorted(chosen, key=lambda match: match.start(), reverse=True):
        word = draw.choice(synonyms[match.group().casefold()])
        if match.group()[0].isupper():
            word = word[0].upper() + word[1:]
        text = text[: match.start()] + word + text[match.end() :]
    return text


def read_synonyms(path: Path) -> Synonyms:
    """The dictionary: lines of language, word and comma-separated synonyms, tab between them."""
    synonyms: Synonyms = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Refusal(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        cells = [cell.strip(" ,") for cell in line.split("\t")]
        if len(cells) != 3 or not all(cells):
            raise Refusal(f"{path}:{number}: must be language, word and synonyms, tab-separated")
        words = [word.strip() for word in cells[2].split(",") if word.strip()]
        synonyms.setdefault(cells[1].casefold(), []).extend(words)
    if not synonyms:
        raise Refusal(f"{path}: empty; add synonyms or set augment.synonyms.share to 0")
    return synonyms


def children(
    parents: Iterable[Record],
    method: str,
    share: float,
    change: Callable[..., str],
    seed: int,
) -> Iterable[tuple[Record, Record]]:
    """(parent, child) for the share of the parents that a hash of seed, method and id picks."""
    for parent in parents:
        draw = random.Random(hashlib.sha256(f"{seed}/{method}/{parent.id}".encode()).digest())
        if draw.random() < share:
            origin = f"{parent.id}:{method}"
            yield parent, parent.with_turns(partial(change, draw=draw), origin)


def protected(record: Record) -> list[str]:
    """What the answer takes from the question: JSON values, and numbers found in both."""
    values = [value for value in _json_values(record.answer) if value in record.question]
    numbers = set(_DIGITS.findall(record.question)) & set(_DIGITS.findall(record.answer))
    return [*values, *sorted(numbers)]


def _json_values(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [str(v) for v in value.values()] if isinstance(value, dict) else []


def _dictionary_pattern(synonyms: Synonyms) -> re.Pattern[str]:
    """The longest entry first; words of an alphabet only as whole words."""
    words = sorted(synonyms, key=lambda word: (-len(word), word))
    parts = [rf"\b{re.escape(w)}\b" if not _HAN.search(w) else re.escape(w) for w in words]
    return re.compile("|".join(parts), re.IGNORECASE)
