"""Records as columns: their lines, and the few numbers that tell what is alike and goes where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lockstep import records
from lockstep.data import data_card, duplicates, shingles, splitting, traits
from lockstep.data.traits import Traits
from lockstep.records import Record

Places = npt.NDArray[np.int64]
"""Places of records in the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """A few hundred bytes a record, where a `Record` takes some thousand."""

    lines: list[bytes]
    """As they are written."""
    traits: list[Traits]
    """Each combination once."""
    trait: npt.NDArray[np.int32]
    """Which of them a record has: (records,)."""
    lengths: data_card.Lengths
    inputs: duplicates.Keys
    """Of what is asked, where another answer would contradict the record's."""
    said: duplicates.Keys
    """Of all that is said."""
    groups: duplicates.Keys
    leader: npt.NDArray[np.float64]
    """Of a group, the record with the smallest one decides the split: (records,)."""
    side: npt.NDArray[np.float64]
    """Where it decides for, from 0 to 1: (records,)."""
    bands: duplicates.Bands
    words: shingles.Grams
    """Runs of words of the inputs."""

    def __len__(self) -> int:
        return len(self.lines)

    def record(self, place: int) -> Record:
        """The record itself."""
        return records.load(self.lines[place])


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns are made for."""

    seed: int
    threshold: float
    """Of near-duplicates."""
    words: int
    """Length of the runs of words; 0: none."""
    labelled: frozenset[str]
    """Tasks whose answers are labels."""
    by_answer: bool
    """Whether other answers count too: they are strata, or the rows alone know their tasks."""

    def table(self, rows: Sequence[Record]) -> Table:
        """The records' columns."""
        known: dict[Traits, int] = {}
        trait = []
        for record in rows:
            kind = traits.of(record, self.by_answer or record.task in self.labelled)
            trait.append(known.setdefault(kind, len(known)))
        inputs, said, groups = duplicates.keys(rows)
        asked = [record.user_text for record in rows]
        keys = (record.group or text for record, text in zip(rows, asked, strict=True))
        leader = splitting.uniform(f"{self.seed}\n{key}" for key in keys)
        texts = shingles.normalize(asked)
        return Table(
            lines=[records.dump(record) for record in rows],
            traits=[*known],
            trait=np.array(trait, np.int32),
            lengths=data_card.lengths(rows),
            inputs=inputs,
            said=said,
            groups=groups,
            leader=leader,
            side=splitting.uniform(f"{self.seed}/{key}" for key in leader.tolist()),
            bands=duplicates.bands(texts, self.threshold),
            words=shingles.word_grams(texts, self.words),
        )


def joined(tables: Sequence[Table]) -> Table:
    """One table of the records of all, in their order."""
    known: dict[Traits, int] = {}
    numbers = [[known.setdefault(kind, len(known)) for kind in each.traits] for each in tables]
    return Table(
        lines=[line for each in tables for line in each.lines],
        traits=[*known],
        trait=np.concatenate(
            [
                np.array(number, np.int32)[each.trait]
                for number, each in zip(numbers, tables, strict=True)
            ]
        ),
        lengths=np.concatenate([each.lengths for each in tables]),
        inputs=np.concatenate([each.inputs for each in tables]),
        said=np.concatenate([each.said for each in tables]),
        groups=np.concatenate([each.groups for each in tables]),
        leader=np.concatenate([each.leader for each in tables]),
        side=np.concatenate([each.side for each in tables]),
        bands=np.concatenate([each.bands for each in tables]),
        words=shingles.joined([each.words for each in tables]),
    )
