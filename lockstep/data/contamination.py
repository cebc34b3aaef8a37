"""Contamination: training and validation records that repeat text of the tests or benchmarks."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lockstep.data import file_reading, ngrams, parallel
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.sources import DataPath
from lockstep.errors import UserError
from lockstep.params import NaturalInt, Section

_PARAMETER = "prepare.decontaminate.benchmarks"
_PREFIX_BITS = 24
"""Number of leading bits of a hash by which the table of prefixes is indexed."""


class DecontaminateParams(Section):
    """Removal of training and validation records that share text with tests or benchmarks."""

    words: NaturalInt = 20
    """Length in words of a shared n-gram that makes a record contaminated; 13 in Brown et al.
    (2020). A Chinese character is a word. 0 disables the check."""
    benchmarks: list[DataPath] = Field(default=[])
    """Files, relative to data/raw, whose texts are treated as test texts."""


def read_benchmarks(root: Path, paths: Sequence[str]) -> dict[str, list[str]]:
    """Return every string in each benchmark file; raise UserError if a file cannot be read."""
    texts = {}
    for path in paths:
        try:
            notes = file_reading.Notes()
            files = file_reading.list_files(root, path, notes)
            texts[path] = [text for _, file in files for text in _read_strings(file, notes)]
            notes.echo()
        except UserError as error:
            message = error.message.replace(
                "correct encoding in prepare.sources", "save it as utf-8"
            )
            raise UserError(message.replace("prepare.sources", _PARAMETER)) from None
        if not texts[path]:
            raise UserError(f"{root / path}: no text in it; correct {_PARAMETER}")
    return texts


def collect_ngrams(texts: Iterable[str], words: int) -> ngrams.Hashes:
    """Return the hashes of the n-grams of `words` words of all texts."""
    chunks = parallel.split_into_chunks(texts, len)
    parts = parallel.map_chunks(partial(_compute_word_ngrams, words), chunks)
    return np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])


def contains_any(texts: ngrams.NGrams, forbidden: ngrams.Hashes) -> npt.NDArray[np.bool_]:
    """Return whether each text has at least one of the forbidden n-grams: (texts,).

    A lookup of the first bits rules out most n-grams, which is four times faster than a binary
    search for each.
    """
    is_prefix = np.zeros(1 << _PREFIX_BITS, bool)
    is_prefix[forbidden >> np.uint64(64 - _PREFIX_BITS)] = True
    candidates = np.flatnonzero(is_prefix[texts.hashes >> np.uint64(64 - _PREFIX_BITS)])
    ordered, hashes = np.sort(forbidden), texts.hashes[candidates]
    position = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    hits = candidates[ordered[position] == hashes] if len(ordered) else candidates
    contains = np.zeros(len(texts.offsets) - 1, bool)
    contains[np.searchsorted(texts.offsets, hits, "right") - 1] = True
    return contains


def _read_strings(path: Path, notes: file_reading.Notes) -> Iterator[str]:
    columns = file_reading.Columns(required=(), used=())
    for place, row in file_reading.read_rows(path, "utf-8", columns, notes=notes):
        try:
            yield from _find_strings(json.loads(row) if isinstance(row, str) else row)
        except (ValueError, RecursionError):
            raise UserError(
                f"{path}:{place}: not JSON; repair it or correct {_PARAMETER}"
            ) from None


def _find_strings(value: Any) -> Iterator[str]:
    if isinstance(value, InvalidRowError):
        raise ValueError(str(value))
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _find_strings(child)


def _compute_word_ngrams(words: int, texts: list[str]) -> ngrams.NGrams:
    return ngrams.hash_word_ngrams(ngrams.normalize_texts(texts), words)
