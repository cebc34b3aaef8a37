"""The answers to one control: a task becomes a row with a vote of each annotator."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from lockstep.data.file_reading import RawRow
from lockstep.data.label_studio import controls, dialogues, spans, voting
from lockstep.data.label_studio.controls import Annotation, Control, ExportedTask
from lockstep.data.label_studio.dialogues import Turn
from lockstep.data.label_studio.voting import Vote
from lockstep.data.rejected_rows import InvalidRowError, shorten_row
from lockstep.data.sources import Source

PlacedRows = Iterator[tuple[str, RawRow]]
"""Pairs (place, row)."""


class AnswerReader:
    """Reads the answers to a control of a source."""

    def __init__(self, control: Control, source: Source) -> None:
        self.control = control
        self.columns = {name: source.get_column(name) for name in ("text", "left", "right")}

    def read(self, origin: str, task: ExportedTask) -> PlacedRows:
        """Yield the row of a task, or one for each labelled turn, or the error in it."""
        try:
            yield from self._read(origin, task)
        except InvalidRowError as error:
            yield origin, InvalidRowError(str(error), shorten_row(task.data), detail=error.detail)

    def _read(self, origin: str, task: ExportedTask) -> PlacedRows:
        text, turns = task.data.get(self.columns["text"]), list[Turn]()
        if isinstance(text, list):
            text, turns = dialogues.format_dialogue(text)
        row = {
            "data": {**task.data, self.columns["text"]: text},
            "text": text,
            "reading": self.control.reading,
        }
        if self.control.kind == "pairwise":
            row |= {side: task.data.get(self.columns[side]) for side in ("left", "right")}
        if self.control.reading == "utterances":
            yield from self._read_turns(origin, task, row, turns)
            return
        answers = []
        for annotation in task.annotations:
            if self.control.kind == "spans":
                found = self._read_spans(annotation, text, turns)
                answers.append(orjson.dumps(found).decode())
            else:
                values = annotation.results.get(self.control.name, [])
                answers.append(controls.read_answer(self.control, values))
        yield origin, {**row, "votes": self._make_votes(task, answers, task.id)}

    def _read_spans(
        self, annotation: Annotation, text: Any, turns: Sequence[Turn]
    ) -> list[spans.Span]:
        """Return the spans of an annotation; there may be none."""
        values = annotation.results.get(self.control.name, [])
        if not isinstance(text, str):
            return []
        if self.control.type == "paragraphlabels":
            return spans.read_spans(dialogues.locate_values(values, turns), text)
        return spans.read_spans(values, text)

    def _read_turns(
        self, origin: str, task: ExportedTask, row: Mapping[str, Any], turns: Sequence[Turn]
    ) -> PlacedRows:
        """Yield a row for each turn that somebody labelled, with the dialogue up to that turn.

        The rows of a dialogue are a group, so that they stay in one split.
        """
        labels = [
            dialogues.find_turn_labels(self._read_spans(annotation, row["text"], turns), turns)
            for annotation in task.annotations
        ]
        if not any(labels):
            yield origin, {**row, "votes": []}
        for index in sorted({index for by_turn in labels for index in by_turn}):
            text = row["text"][: turns[index].start + len(turns[index].text)]
            answers = [
                orjson.dumps(by_turn[index]).decode() if index in by_turn else ""
                for by_turn in labels
            ]
            data = {**row["data"], self.columns["text"]: text, voting.GROUP: origin}
            votes = self._make_votes(task, answers, f"{task.id}/{index}")
            yield f"{origin} turn {index + 1}", {**row, "data": data, "text": text, "votes": votes}

    def _make_votes(self, task: ExportedTask, answers: Sequence[str], task_id: str) -> list[Vote]:
        """Return the votes of the annotators who answered."""
        return [
            Vote(who.annotator, task_id, answer, self.control.question_type, who.ground_truth)
            for who, answer in zip(task.annotations, answers, strict=True)
            if answer
        ]
