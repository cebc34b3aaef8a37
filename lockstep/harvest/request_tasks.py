"""The task of a request: that of the training records with its system message."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.data.record_metadata import find_answer_kind
from lockstep.records import Message, Record, dump_json, parse_labels
from lockstep.serving.logs.text_masking import TextMasker

OTHER_TASK = "requests"
"""Task of requests whose system message is not in the training records, or in those of several
tasks whose form the answer has."""

_FORMS = ("label", "labels", "number", "json")
"""Kinds of answers with a form that other answers rarely have."""


@dataclass(frozen=True, slots=True)
class KnownTasks:
    """Tasks of the training records, with the kinds of their answers and their system messages."""

    kinds: Mapping[str, str]
    """Kind of the answers of each task, as in tasks.json."""
    labels: Mapping[str, list[str]]
    """Labels of each task that has labels."""
    masker: TextMasker
    forced: str = ""
    """Task of all requests; empty: their system messages decide."""
    systems: dict[str, tuple[Message | None, set[str]]] = field(default_factory=dict)
    """Masked system message -> the message itself, None without one, and the tasks that have it."""

    def add_records(self, records: Iterable[Record]) -> None:
        """Learn the system messages of training records."""
        for record in records:
            system = _find_system(record.messages)
            masked = self._mask_system(record.messages)
            self.systems.setdefault(masked, (system, set()))[1].add(record.task)

    def restore_system(self, messages: list[Message], cleaned: list[Message]) -> list[Message]:
        """Return the messages with the system message of training, if only masks differ from it.

        `cleaned` are the messages as `prepare` reads them.
        """
        system = self.systems.get(self._mask_system(cleaned), (None, set()))[0]
        return [system, *messages[1:]] if system and _find_system(messages) else messages

    def choose_task(self, record: Record) -> str:
        """Return the task of a request with an answer.

        If several tasks have its system message, it is the one whose answers have such a form.
        """
        if self.forced:
            return self.forced
        tasks = self.systems.get(self._mask_system(record.messages), (None, set[str]()))[1]
        fitting = {task for task in tasks if not self.find_fault(task, record)}
        special = {task for task in fitting if self.kinds.get(task) in _FORMS}
        for names in (special, fitting, tasks):
            if len(names) == 1:
                return next(iter(names))
        return OTHER_TASK

    def format_review(self, task: str, answer: str) -> str:
        """Return a reviewed answer; a single choice is a list where a task has several labels."""
        if self.kinds.get(task) == "labels" and not answer.startswith("["):
            return dump_json([answer]).decode()
        return answer

    def find_fault(self, task: str, record: Record) -> str:
        """Return why the answer cannot be one of a task, in snake_case; empty if it can be."""
        kind, answer = self.kinds.get(task, "text"), record.answer
        if kind in ("label", "labels") and task in self.labels:
            labels = [answer] if kind == "label" else parse_labels(answer)
            return "" if {*labels} <= {*self.labels[task]} else "unknown_label"
        if kind == "number":
            return "" if _is_number(answer) else "answer_not_a_number"
        if kind == "json":
            return "" if find_answer_kind(record) == "json" else "answer_not_json"
        return ""

    def _mask_system(self, messages: list[Message]) -> str:
        """Return the masked system message; empty if there is none."""
        system = _find_system(messages)
        return self.masker.mask_text(system["content"]) if system else ""


def read_kinds(tasks: Mapping[str, Any]) -> dict[str, str]:
    """Return the kind of each task that has training records, from the content of tasks.json."""
    return {name: task["kind"] for name, task in tasks.items() if task["records"]["train"]}


def _find_system(messages: list[Message]) -> Message | None:
    return messages[0] if messages and messages[0]["role"] == "system" else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
