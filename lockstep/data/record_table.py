"""A table of all records: their JSON lines, and the columns that deduplication and splitting need.

A record takes a few hundred bytes in the table and a few thousand as a `Record`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lockstep import records
from lockstep.data import data_card, near_duplicates, ngrams, record_keys, splitting
from lockstep.data.record_keys import RecordKeys
from lockstep.data.record_metadata import RecordMetadata, extract_metadata
from lockstep.records import Record

Indices = npt.NDArray[np.int64]
"""Indices of records in the table."""


@dataclass(frozen=True, slots=True)
class RecordTable:
    """Records as columns."""

    lines: list[bytes]
    """JSON line of each record, as it is written."""
    metadata: list[RecordMetadata]
    """Distinct metadata."""
    metadata_ids: npt.NDArray[np.int32]
    """Index of each record's metadata: (records,)."""
    lengths: data_card.Lengths
    """Lengths in characters."""
    keys: RecordKeys
    """Keys to find conflicts, duplicates and groups."""
    has_single_answer: npt.NDArray[np.bool_]
    """Whether another answer to the same question is a conflict: (records,)."""
    leader_keys: splitting.Uniform
    """Random key of each record; the leader of a group has its smallest key: (records,)."""
    positions: splitting.Uniform
    """Position of each record in [0, 1): (records,). A leader's decides the split of its group."""
    bands: near_duplicates.Bands
    """MinHash bands of the inputs, to find near-duplicates."""
    unit_ngrams: ngrams.NGrams
    """N-grams of the inputs' units, to find contamination."""

    def __len__(self) -> int:
        return len(self.lines)

    def load_record(self, index: int) -> Record:
        """Return the record at an index."""
        return records.load(self.lines[index])


@dataclass(frozen=True, slots=True)
class TableBuilder:
    """Builds tables of records with the settings that the columns depend on."""

    seed: int
    threshold: float
    """Minimum similarity of near-duplicates."""
    words: int
    """Length of the n-grams of units; 0 computes none."""
    labelled_tasks: frozenset[str]
    """Tasks whose answers are labels."""
    with_answers: bool
    """Whether the metadata of all tasks hold the answers."""
    rated_sources: frozenset[str] = frozenset()
    """Sources whose answers are ratings, of which a question may have several."""

    def build(self, rows: Sequence[Record]) -> RecordTable:
        """Return the table of these records."""
        metadata: dict[RecordMetadata, int] = {}
        metadata_ids = []
        for record in rows:
            with_answer = self.with_answers or record.task in self.labelled_tasks
            values = extract_metadata(record, with_answer)
            metadata_ids.append(metadata.setdefault(values, len(metadata)))
        keys, texts = record_keys.compute_keys(rows)
        group_names = (record.group or record.user_text for record in rows)
        leader_keys = splitting.hash_to_uniform(f"{self.seed}\n{name}" for name in group_names)
        return RecordTable(
            lines=[records.dump(record) for record in rows],
            metadata=[*metadata],
            metadata_ids=np.array(metadata_ids, np.int32),
            lengths=data_card.measure_lengths(rows),
            keys=keys,
            has_single_answer=record_keys.find_single_answers(rows, self.rated_sources),
            leader_keys=leader_keys,
            positions=splitting.hash_to_uniform(
                f"{self.seed}/{key}" for key in leader_keys.tolist()
            ),
            bands=near_duplicates.compute_bands(texts, self.threshold),
            unit_ngrams=ngrams.hash_unit_ngrams(texts.drop_signs(), self.words),
        )


def concatenate_tables(tables: Sequence[RecordTable]) -> RecordTable:
    """Return one table with the records of all tables, in order."""
    metadata: dict[RecordMetadata, int] = {}
    new_ids = [
        np.array(
            [metadata.setdefault(values, len(metadata)) for values in table.metadata], np.int32
        )
        for table in tables
    ]
    return RecordTable(
        lines=[line for table in tables for line in table.lines],
        metadata=[*metadata],
        metadata_ids=np.concatenate(
            [ids[table.metadata_ids] for ids, table in zip(new_ids, tables, strict=True)]
        ),
        lengths=np.concatenate([table.lengths for table in tables]),
        keys=record_keys.concatenate_keys([table.keys for table in tables]),
        has_single_answer=np.concatenate([table.has_single_answer for table in tables]),
        leader_keys=np.concatenate([table.leader_keys for table in tables]),
        positions=np.concatenate([table.positions for table in tables]),
        bands=np.concatenate([table.bands for table in tables]),
        unit_ngrams=ngrams.concatenate_ngrams([table.unit_ngrams for table in tables]),
    )
