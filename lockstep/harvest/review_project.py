"""Projects of Label Studio for the requests that need review, one for each task."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.data.label_studio import project_writing
from lockstep.harvest.request_records import HarvestedRequest
from lockstep.harvest.request_tasks import KnownTasks
from lockstep.records import Message, Record

FORMS = {"label": "choice", "labels": "choices"}
"""Kind of the answers of a task -> form of the interface; a reply for all others."""

_REMARK = '  <Text name="remark" value="$remark"/>\n'


def write_projects(folder: Path, records: Sequence[HarvestedRequest], tasks: KnownTasks) -> None:
    """Write TASK/tasks.json and TASK/config.xml for each task of the records."""
    by_task: dict[str, list[HarvestedRequest]] = defaultdict(list)
    for item in records:
        by_task[item.record.task].append(item)
    for task, group in by_task.items():
        labels = tasks.labels.get(task, [])
        form = FORMS.get(tasks.kinds.get(task, ""), "reply") if labels else "reply"
        project = folder / task.replace("/", "_")
        project.mkdir(parents=True)
        entries = [_make_task(item, form, labels) for item in group]
        text = json.dumps(entries, ensure_ascii=False, indent=1)
        (project / "tasks.json").write_text(text + "\n", encoding="utf-8")
        interface = _make_interface(group[0].record, form, labels)
        (project / "config.xml").write_text(interface, encoding="utf-8")


def _make_interface(record: Record, form: str, labels: Sequence[str]) -> str:
    """Return the interface with all labels of the task, and the remark below the text."""
    rows = [record.with_answer(json.dumps([label])) for label in labels]
    if form == "choice":
        rows = [record.with_answer(label) for label in labels]
    interface = project_writing.make_interface(rows, form)
    text, tag, rest = interface.partition('value="$text"/>\n')
    return text + tag + _REMARK + rest


def _make_task(item: HarvestedRequest, form: str, labels: Sequence[str]) -> dict[str, Any]:
    request = item.candidate.request
    feedback = request.feedback
    suggestion = request.answer
    if form == "reply" and feedback.correction:
        suggestion = feedback.correction
    (task,) = project_writing.make_tasks([item.record.with_answer(suggestion)], form)
    task["data"] |= {
        "text": _format_conversation(item.row["messages"][:-1]),
        "remark": _describe(item),
        "request": request.id,
        "answer": request.answer,
        "messages": request.messages,
    }
    is_possible = {*_list_choices(task)} <= {*labels} if form != "reply" else bool(suggestion)
    if not is_possible:
        del task["predictions"]
    else:
        name = "correction" if suggestion == feedback.correction else request.answered_by
        task["predictions"][0]["model_version"] = name or "today"
    return task


def _describe(item: HarvestedRequest) -> str:
    """Return why a request needs review, and what people said about its answer."""
    request, feedback = item.candidate.request, item.candidate.request.feedback
    facts = {
        "review": item.candidate.why,
        "thumb": feedback.thumb,
        "score": "" if feedback.score is None else f"{feedback.score:g}",
        "answer": request.answer,
        "correction": feedback.correction,
        "comment": feedback.comment,
    }
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)


def _format_conversation(messages: Sequence[Message]) -> str:
    """Return the turns as lines `role: text`; a single question stands alone."""
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _list_choices(task: dict[str, Any]) -> list[str]:
    results = task["predictions"][0]["result"]
    return [choice for result in results for choice in result["value"]["choices"]]
