"""Training records that repeat what a model is tested on."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.corpus import containers, parallel, shingles, strict_json
from stages.corpus.rejection import UnfitError
from stages.params import NaturalInt, Section
from stages.records import Record

_CHUNK = 8192


class Decontamination(Section):
    """Which n-grams of test records and benchmarks training must not hold."""

    words: NaturalInt
    """Length of the n-grams, 13 in Brown et al. (2020); 0: none is looked for. A Chinese character
    is a word."""
    benchmarks: list[str]
    """Files whose texts count as test texts, relative to data/raw."""


def benchmark_texts(root: Path, paths: Sequence[str]) -> Iterator[str]:
    """Every text in the files, whatever their format."""
    for path in paths:
        for _, row in containers.rows(root / path, "utf-8", containers.Columns(needed=(), used=())):
            try:
                yield from _texts(strict_json.parse(row) if isinstance(row, str) else row)
            except UnfitError:
                continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def overlapping(records: Sequence[Record], held_out: Sequence[str], words: int) -> list[Record]:
    """The records whose input shares a run of `words` words with a held-out text."""
    if not words or not held_out:
        return []
    known = np.unique(np.concatenate([grams.hashes for grams in _all_grams(held_out, words)]))
    shared = [
        _shared(known, grams) for grams in _all_grams([record.asked for record in records], words)
    ]
    return [records[place] for place in np.flatnonzero(np.concatenate(shared)).tolist()]


def _all_grams(texts: Sequence[str], words: int) -> Iterator[shingles.Grams]:
    chunks = (texts[at : at + _CHUNK] for at in range(0, max(1, len(texts)), _CHUNK))
    return parallel.each(partial(_grams, words), chunks)


def _grams(words: int, texts: Sequence[str]) -> shingles.Grams:
    return shingles.word_grams(shingles.normalize(texts), words)


def _shared(known: shingles.Hashes, grams: shingles.Grams) -> Any:
    """How many of each text's n-grams are known: (texts,)."""
    found = np.zeros(len(grams.hashes), bool)
    if len(known):
        places = np.minimum(np.searchsorted(known, grams.hashes), len(known) - 1)
        found = known[places] == grams.hashes
    hits = np.concatenate([[0], np.cumsum(found)])
    return hits[grams.offsets[1:]] - hits[grams.offsets[:-1]]
