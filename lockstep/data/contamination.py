"""Training records that repeat what a model is tested on."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lockstep.data import containers, parallel, shingles
from lockstep.data.rejection import UnfitError
from lockstep.data.sources import DataPath
from lockstep.errors import UserError
from lockstep.params import NaturalInt, Section

_HERE = "prepare.decontaminate.benchmarks"
_FIRST = 24  # bits of a hash


class DecontaminateParams(Section):
    """Removal of training and validation records that share text with tests or benchmarks."""

    words: NaturalInt = 20
    """Length in words of a shared n-gram that makes a record contaminated; 13 in Brown et al.
    (2020). A Chinese character is a word. 0 disables the check."""
    benchmarks: list[DataPath] = Field(default=[])
    """Files, relative to data/raw, whose texts are treated as test texts."""


def benchmark_texts(root: Path, paths: Sequence[str]) -> dict[str, list[str]]:
    """Every text in each of the files, whatever its format; UserError where one cannot be read."""
    found = {}
    for path in paths:
        try:
            found[path] = [*_all_texts(root / path)]
        except UserError as refusal:
            said = refusal.message.replace(
                "correct encoding in prepare.sources", "save it as utf-8"
            )
            raise UserError(said.replace("prepare.sources", _HERE)) from None
        if not found[path]:
            raise UserError(f"{root / path}: no text in it; correct {_HERE}")
    return found


def _all_texts(path: Path) -> Iterator[str]:
    for place, row in containers.rows(path, "utf-8", containers.Columns(needed=(), used=())):
        try:
            yield from _texts(json.loads(row) if isinstance(row, str) else row)
        except (ValueError, RecursionError):
            raise UserError(f"{path}:{place}: not JSON; repair it or correct {_HERE}") from None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, UnfitError):
        raise ValueError(str(value))
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def all_grams(texts: Iterable[str], words: int) -> shingles.Hashes:
    """The runs of `words` words of all texts."""
    chunks = parallel.chunks(texts, len)
    found = [grams.hashes for grams in parallel.each(partial(_grams, words), chunks)]
    return np.concatenate([np.empty(0, np.uint64), *found])


def holds(grams: shingles.Grams, held_out: shingles.Hashes) -> npt.NDArray[np.bool_]:
    """Whether each text has one of the held-out runs of words: (texts,).

    A look at the first bits settles most: that costs a quarter of a search for each.
    """
    begins = np.zeros(1 << _FIRST, bool)
    begins[held_out >> np.uint64(64 - _FIRST)] = True
    maybe = np.flatnonzero(begins[grams.hashes >> np.uint64(64 - _FIRST)])
    known, wanted = np.sort(held_out), grams.hashes[maybe]
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    hits = maybe[known[place] == wanted] if len(known) else maybe
    found = np.zeros(len(grams.offsets) - 1, bool)
    found[np.searchsorted(grams.offsets, hits, "right") - 1] = True
    return found


def _grams(words: int, texts: list[str]) -> shingles.Grams:
    return shingles.word_grams(shingles.normalize(texts), words)
