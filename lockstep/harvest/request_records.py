"""Requests as rows of a source of `prepare`, and as the records that `prepare` makes of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lockstep.data import source_reading
from lockstep.data.cleaning.cleaner import list_steps
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.rows.row_conversion import RowConverter
from lockstep.data.sources import Source
from lockstep.harvest.candidates import Candidate
from lockstep.harvest.logged_feedback import LeftOut
from lockstep.harvest.request_tasks import OTHER_TASK, KnownTasks
from lockstep.records import Message, Record

Form = Literal["messages", "preference"]
"""Format of the rows that are written."""

FORMS: dict[str, Form] = dict.fromkeys(("dpo", "orpo", "simpo", "kto", "reward"), "preference")
"""Training objective -> format of the rows; messages for all others."""

PLACEHOLDER = re.compile(r"\[(?:EMAIL|ID|ACCOUNT|CARD|TELEPHONE|MASKED)\]")
"""Placeholders of personal data, as `TextMasker` writes them."""

_STAND_IN = "-"
"""Answer of a request that has none yet, so that its prompt can be read."""


@dataclass(frozen=True, slots=True)
class HarvestedRequest:
    """A candidate with the row that is written for it, and the record that `prepare` reads."""

    candidate: Candidate
    row: dict[str, Any]
    record: Record


@dataclass(slots=True)
class RecordMaker:
    """Makes records of candidates as `prepare` does with the settings of params.yaml."""

    params: PrepareParams
    tasks: KnownTasks
    left_out: list[LeftOut] = field(default_factory=list)
    """Requests that `prepare` would reject, with its reasons."""
    _converters: dict[Form, RowConverter] = field(default_factory=dict)

    def make_records(self, candidates: Sequence[Candidate], form: Form) -> list[HarvestedRequest]:
        """Return the records of the candidates that `prepare` accepts; keep the others' reasons."""
        records = [self._make_record(candidate, form) for candidate in candidates]
        return [record for record in records if record is not None]

    def find_fault(self, record: Record) -> str:
        """Return why an answer must not be learnt, in snake_case; empty if it may be.

        It does not suit its task, or it has a placeholder that the prompt lacks: the model would
        learn to write placeholders instead of the number or address that a user needs. Where
        `prepare` masks all answers, it learns them anyway.
        """
        masks = "personal_data" in list_steps(self.params.clean).get("assistant", ())
        prompt = {name for m in record.prompt for name in PLACEHOLDER.findall(m["content"])}
        if not masks and not {*PLACEHOLDER.findall(record.answer)} <= prompt:
            return "placeholder_in_answer"
        return self.tasks.find_fault(record.task, record)

    def _make_record(self, candidate: Candidate, form: Form) -> HarvestedRequest | None:
        answer = candidate.answer or candidate.request.answer or _STAND_IN
        if candidate.origin == "reviewed":
            answer = self.tasks.format_review(candidate.task, answer)
        turns = _silence_answers(candidate.request.messages)
        row: dict[str, Any] = {"task": OTHER_TASK, "messages": _add_answer(turns, answer)}
        draft = self._convert(candidate, row, "messages")
        if draft is None:
            return None
        turns = self.tasks.restore_system(turns, draft.messages)
        task = candidate.task or self.tasks.choose_task(draft)
        row = {"id": candidate.request.id, "task": task}
        if form == "messages":
            row["messages"] = _add_answer(turns, answer)
        else:
            row["prompt"] = turns
            row["chosen"] = _add_answer([], answer)
            row["rejected"] = _add_answer([], candidate.request.answer)
        record = self._convert(candidate, row, form)
        return HarvestedRequest(candidate, row, record) if record else None

    def _convert(self, candidate: Candidate, row: dict[str, Any], form: Form) -> Record | None:
        """Return the record of a row; its origin is the id of the request."""
        if form not in self._converters:
            source = make_source(f"{form}.jsonl", form)
            self._converters[form] = source_reading.make_converter(Path(), source, self.params, {})
        converted = self._converters[form].convert([(candidate.request.id, row)])
        self.left_out += [
            LeftOut(request_id=rejected.origin, reason=rejected.reason, detail=rejected.detail)
            for rejected in converted.rejected
        ]
        return converted.records[0] if converted.records else None


def make_source(path: str, form: Form) -> Source:
    """Return the source of a file of requests."""
    return Source(path=path, format=form, columns={"task": "task"}, split="train")


def _silence_answers(messages: Sequence[Message]) -> list[Message]:
    """Return the messages; earlier answers, which the model gave itself, are not to be learnt."""
    return [{**m, "weight": 0} if m["role"] == "assistant" else m for m in messages]


def _add_answer(messages: Sequence[Message], answer: str) -> list[Message]:
    return [*messages, {"role": "assistant", "content": answer}]
