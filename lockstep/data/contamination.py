"""Contamination: training and validation records that repeat text of the tests or benchmarks."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lockstep.data import file_reading, ngrams, parallel
from lockstep.data.invalid_bytes import replace_invalid_bytes
from lockstep.data.ngrams import NGrams
from lockstep.data.normalized_texts import Hashes, fold, normalize_texts
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.source_paths import DataPath
from lockstep.errors import UserError
from lockstep.params import NaturalInt, Section
from lockstep.segmentation import split_words

_PARAMETER = "prepare.decontaminate.benchmarks"
Indices = npt.NDArray[np.int64]
"""Indices of texts."""
_PREFIX_BITS = 24
"""Number of leading bits of a hash by which the table of prefixes is indexed."""


class DecontaminateParams(Section):
    """Removal of training and validation records that share text with tests or benchmarks."""

    words: NaturalInt = 20
    """Length in words of a shared n-gram that makes a record contaminated; 13 in Brown et al.
    (2020). Chinese, Japanese and Thai are segmented into words. 0 disables the check."""
    benchmarks: list[DataPath] = Field(default=[])
    """Files, folders or glob patterns, relative to data/raw, whose texts are treated as test
    texts."""


@dataclass(frozen=True, slots=True)
class ProtectedTexts:
    """Texts that training must not contain, with the places where they are."""

    ngrams: NGrams
    """N-grams of the units of each text."""
    get_text: Callable[[int], str]
    get_place: Callable[[int], str]


def read_benchmarks(root: Path, paths: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return (`file:line`, string) for every string in each benchmark file.

    Raise UserError if a file cannot be read.
    """
    texts = {}
    for path in paths:
        try:
            notes = file_reading.Notes()
            strings = [
                (f"{name}:{place}", text)
                for name, file in file_reading.list_files(root, path, notes)
                for place, text in _read_strings(file, notes)
            ]
            notes.echo()
        except UserError as error:
            message = error.message.replace(
                "correct encoding in prepare.sources", "save it as utf-8"
            )
            raise UserError(message.replace("prepare.sources", _PARAMETER)) from None
        if not strings:
            raise UserError(f"{root / path}: no text in it; correct {_PARAMETER}")
        texts[path] = strings
    return texts


def protect_benchmarks(
    benchmarks: Mapping[str, Sequence[tuple[str, str]]], words: int
) -> ProtectedTexts:
    """Return the texts of all benchmark files with their n-grams of `words` units."""
    places, texts = [], []
    for strings in benchmarks.values():
        places += [place for place, _ in strings]
        texts += [text for _, text in strings]
    chunks = parallel.split_into_chunks(texts, len)
    parts = [*parallel.map_chunks(partial(_compute_unit_ngrams, words), chunks)]
    return ProtectedTexts(ngrams.concatenate_ngrams(parts), texts.__getitem__, places.__getitem__)


def find_contaminated(
    texts: NGrams,
    indices: Indices,
    get_text: Callable[[int], str],
    protected: ProtectedTexts,
    words: int,
) -> dict[int, str]:
    """Return {index of a text: place of a protected text that shares `words` words with it}.

    Only the texts at `indices`, in ascending order, are searched.
    Words of Chinese, Japanese and Thai consist of one or more units, so texts that share as many
    words share as many units. Only these candidates are segmented.
    """
    candidates = indices[contains_any(texts, protected.ngrams.hashes)[indices]]
    shared = texts.select(candidates).hashes
    owners = np.flatnonzero(contains_any(protected.ngrams, shared))
    places: dict[tuple[str, ...], str] = {}
    for index, runs in _list_word_runs(owners, protected.get_text, words):
        for run in runs:
            places.setdefault(run, protected.get_place(index))
    return {
        index: next(places[run] for run in runs if run in places)
        for index, runs in _list_word_runs(candidates, get_text, words)
        if not places.keys().isdisjoint(runs)
    }


def contains_any(texts: NGrams, forbidden: Hashes) -> npt.NDArray[np.bool_]:
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


def _list_word_runs(
    indices: Indices, get_text: Callable[[int], str], words: int
) -> Iterator[tuple[int, list[tuple[str, ...]]]]:
    """Yield the index and all runs of `words` words of each text."""
    chunks = parallel.split_into_chunks(map(get_text, indices.tolist()), len)
    lists = chain.from_iterable(parallel.map_chunks(_split_all, chunks))
    for index, text_words in zip(indices.tolist(), lists, strict=True):
        ends = range(words, len(text_words) + 1)
        yield index, [tuple(text_words[end - words : end]) for end in ends]


def _split_all(texts: Sequence[str]) -> list[list[str]]:
    return [split_words(fold(text)) for text in texts]


def _read_strings(path: Path, notes: file_reading.Notes) -> Iterator[tuple[str, str]]:
    """Yield (place in the file, string) for every string of every row."""
    columns = file_reading.Columns(required=(), used=())
    layout = file_reading.Layout(whole_objects=True)  # every text counts, beside the rows too
    for place, row in file_reading.read_rows(path, "utf-8", columns, layout, notes):
        try:
            for text in _find_strings(json.loads(row) if isinstance(row, str) else row):
                yield place, text
        except (ValueError, RecursionError):
            raise UserError(
                f"{path}:{place}: not JSON; repair it or correct {_PARAMETER}"
            ) from None


def _find_strings(value: Any) -> Iterator[str]:
    if isinstance(value, InvalidRowError):
        raise ValueError(str(value))
    if isinstance(value, str):
        yield replace_invalid_bytes(value)
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _find_strings(child)


def _compute_unit_ngrams(words: int, texts: list[str]) -> NGrams:
    return ngrams.hash_unit_ngrams(normalize_texts(texts).drop_signs(), words)
