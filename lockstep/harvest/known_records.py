"""Requests that training or the tests have already, found by the keys and searches of `prepare`.

Prepared records are compared with their personal data masked, as in the log, and whatever their
task is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lockstep import records
from lockstep.data import contamination, normalized_texts, parallel, record_keys
from lockstep.data.contamination import ProtectedTexts
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.record_table import RecordTable, TableBuilder, concatenate_tables
from lockstep.data.selection import RemovedRecord, Selection
from lockstep.data.splitting import SPLITS
from lockstep.harvest.logged_feedback import LeftOut
from lockstep.harvest.request_tasks import KnownTasks
from lockstep.records import Record
from lockstep.serving.logs.text_masking import TextMasker

REQUESTS = "requests"
"""Source of the records of requests in the comparison; prepared records have their split."""


class KnownRecords:
    """The prepared records and the benchmarks, to compare requests with."""

    def __init__(
        self, params: PrepareParams, seed: int, benchmarks: ProtectedTexts, masker: TextMasker
    ) -> None:
        """Begin without records."""
        self.params, self.benchmarks, self.masker = params, benchmarks, masker
        self.builder = TableBuilder(
            seed=seed,
            threshold=params.duplicates.threshold,
            words=params.decontaminate.words,
            labelled_tasks=frozenset(),
            with_answers=False,
        )
        self.tables: dict[str, RecordTable] = {}

    def read(self, prepared: Path, tasks: KnownTasks) -> None:
        """Read the prepared records, and teach the tasks the training records."""
        for split in SPLITS:
            rows = [*records.read(prepared / f"{split}.jsonl")]
            if split == "train":
                tasks.add_records(rows)
            self.tables[split] = self._build_table(rows, split)

    def find_repetitions(self, rows: Sequence[Record], *, of_training: bool) -> list[LeftOut]:
        """Return the records that repeat another one, in the order in which `prepare` finds them.

        They are `duplicate` if training or another request has the same, and `contaminated` if a
        validation or test record has, if one has a near-duplicate of the question, or if a test or
        a benchmark shares a long run of words with it. The origin of a record is the id of its
        request.
        """
        names = SPLITS if of_training else ("validation", "test")
        tables = [self.tables[name] for name in names]
        table = concatenate_tables([*tables, self._build_table(rows, REQUESTS)])
        selection = Selection(table, {name: name for name in SPLITS} | {REQUESTS: "train"})
        selection.merge_duplicates()
        selection.group_near_duplicates(self.params.duplicates)
        selection.assign_splits(self.params.split, [])
        selection.remove_contaminated(self.benchmarks, self.params.decontaminate.words)
        origins = {record.origin for record in rows}
        return [_explain(removed) for removed in selection.removed if removed.origin in origins]

    def find_contradictions(self, rows: Sequence[Record]) -> list[LeftOut]:
        """Return the records to whose question training has other answers alone."""
        train, keys = self.tables["train"], self.compute_input_keys(rows)
        answers: dict[bytes, dict[str, str]] = {key: {} for key in keys}
        for index in train.has_single_answer.nonzero()[0].tolist():
            key = train.keys.inputs[index].tobytes()
            if key in answers:
                record = train.load_record(index)
                answers[key].setdefault(record.reference, record.origin)
        return [
            LeftOut(
                request_id=record.origin,
                reason="contradicts_training",
                because_of=next(iter(known.values())),
                detail="training has another answer to this question; correct the wrong one",
            )
            for record, key in zip(rows, keys, strict=True)
            if (known := answers[key]) and self.masker.mask_text(record.reference) not in known
        ]

    def compute_input_keys(self, rows: Sequence[Record]) -> list[bytes]:
        """Return keys of the questions of requests; equal ones mean the same question."""
        masked = [_make_comparable(record, REQUESTS, self.masker) for record in rows]
        keys, _ = record_keys.compute_keys(masked)
        return [key.tobytes() for key in keys.inputs]

    def _build_table(self, rows: Iterable[Record], source: str) -> RecordTable:
        chunks = parallel.split_into_chunks(rows, lambda record: len(record.user_text))
        tables = parallel.map_chunks(
            partial(_build_chunk, self.builder, source, self.masker),
            chunks,
            initialize=normalized_texts.prepare_table,
        )
        return concatenate_tables([self.builder.build([]), *tables])


def protect_benchmarks(raw: Path, params: PrepareParams) -> ProtectedTexts:
    """Return the texts of the benchmarks that training must not contain."""
    texts = contamination.read_benchmarks(raw, params.decontaminate.benchmarks)
    return contamination.protect_benchmarks(texts, params.decontaminate.words)


def _explain(removed: RemovedRecord) -> LeftOut:
    """Return why a request is left out, from the reason and the cause that `prepare` has."""
    reason, detail = removed.reason, ""
    split, _, place = removed.because_of.partition(": ")
    if split in ("validation", "test") and reason != "contaminated":
        detail = f"it is a {reason} of the {split} record {place}"
        reason = "contaminated"
    return LeftOut(
        request_id=removed.origin, reason=reason, because_of=removed.because_of, detail=detail
    )


def _build_chunk(
    builder: TableBuilder, source: str, masker: TextMasker, rows: Sequence[Record]
) -> RecordTable:
    return builder.build([_make_comparable(record, source, masker) for record in rows])


def _make_comparable(record: Record, source: str, masker: TextMasker) -> Record:
    """Return a record without task and group, and with masked texts.

    The origin of a prepared record begins with its split.
    """
    messages = [
        {**message, "content": masker.mask_text(message["content"])} for message in record.messages
    ]
    rejected = record.rejected
    if isinstance(rejected, str):
        rejected = masker.mask_text(rejected)
    return replace(
        record,
        messages=messages,
        rejected=rejected,
        task="",
        group="",
        source=source,
        origin=record.origin if source == REQUESTS else f"{source}: {record.origin}",
    )
