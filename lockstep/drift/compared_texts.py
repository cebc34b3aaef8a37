"""Read what is compared: the user turns of logged requests and of training records.

The tests assume independent texts, so a user counts with one conversation, and equal texts count
once, since prepare removes duplicates from the training records. Personal data is masked on both
sides, as in the log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.outputs import read_json
from lockstep.records import Record
from lockstep.serving.abtest_routing import PRODUCT
from lockstep.serving.logs.log_files import REQUESTS, read_log
from lockstep.serving.logs.text_masking import TextMasker

MAX_TEXTS = 10_000
"""Maximum number of texts of each side, drawn at random; more would only take longer."""
USER_ROLES = ("user", "text")
"""Roles of the texts that users write; a completion has one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedText:
    """A request or a training record."""

    text: str
    """All user turns of the conversation, with personal data masked as in the log."""
    system: str
    """System message; empty if there is none."""
    answer: str
    """Answer of the tuned model or of the record; empty if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedTexts:
    """The requests that are compared, and how many of the log they are."""

    texts: list[ComparedText]
    """One text per user; texts without a user are one per conversation."""
    requests: int
    """Number of answered requests whose texts were logged."""
    conversations: int
    users: int
    """Number of users; a conversation without a user counts as one."""


def read_requests(
    folder: Path, since: float, masker: TextMasker, generator: np.random.Generator
) -> LoggedTexts:
    """Read the answered requests of a log from a time on.

    A request that continues an earlier one belongs to its conversation, of which the last one
    counts. Raise UserError if a folder has no log of requests.
    """
    if folder.is_dir() and not any(folder.glob(f"{REQUESTS}*")):
        raise UserError(
            f"{folder}: no {REQUESTS}; give the folder of serving.log_folder, after requests"
        )
    requests = [
        request
        for request in read_log(folder, REQUESTS)
        if request.get("messages")
        and request.get("status", 200) < 400
        and request.get("time", since) >= since
    ]
    conversations = join_conversations(requests)
    users = choose_one_each([item.get("user", "") for item in conversations], generator)
    texts = [_read_request(conversations[index], masker) for index in users]
    return LoggedTexts(
        texts=draw_texts(texts, generator),
        requests=len(requests),
        conversations=len(conversations),
        users=len(users),
    )


def join_conversations(requests: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the last request of each conversation.

    A request continues an earlier one of the same user if its messages begin with all messages of
    that one. A request that is repeated without a change is the same conversation.
    """
    latest: dict[int, Mapping[str, Any]] = {}
    for request in requests:
        *prefixes, whole = _hash_prefixes(request)
        for prefix in reversed(prefixes):
            if latest.pop(prefix, None) is not None:
                break
        latest[whole] = request
    return [*latest.values()]


def choose_one_each(groups: Sequence[str], generator: np.random.Generator) -> list[int]:
    """Return the index of a random member of each group, in random order; "" is no group."""
    chosen: dict[str | int, int] = {}
    for index in generator.permutation(len(groups)).tolist():
        chosen.setdefault(groups[index] or index, index)
    return [*chosen.values()]


def draw_texts(texts: Iterable[ComparedText], generator: np.random.Generator) -> list[ComparedText]:
    """Return at most MAX_TEXTS different texts that are not empty, in random order."""
    different = {" ".join(item.text.casefold().split()): item for item in texts}
    different.pop("", None)
    items = [*different.values()]
    return [items[index] for index in generator.permutation(len(items))[:MAX_TEXTS].tolist()]


def read_training_texts(
    data: Path, tasks: Sequence[str], masker: TextMasker, generator: np.random.Generator
) -> list[ComparedText]:
    """Read the training records of some tasks, one of each group (e.g. a user); [] is all tasks."""
    chosen = _select_tasks(_read_split(data, "train"), tasks)
    indices = choose_one_each([record.group for record in chosen], generator)
    return draw_texts([_read_record(chosen[index], masker) for index in indices], generator)


def read_label_sample(data: Path, tasks: Sequence[str]) -> list[str]:
    """Return answers to records that are like the training records, to compare label shares with.

    They are what the tuned model predicted for the test records of sources that training has too.
    Its mistakes then move both sides alike (Lipton et al., Detecting and Correcting for Label Shift
    with Black Box Predictors, 2018). Without predictions, they are the answers in training.
    """
    train = _select_tasks(_read_split(data, "train"), tasks)
    predicted = data / "predicted/merged/predictions.jsonl"
    if not predicted.is_file():
        return [record.answer for record in train]
    sources = {record.source for record in train}
    test = {record.id for record in _read_split(data, "test") if record.source in sources}
    return [
        row.prediction
        for row in predictions.read(predicted)
        if row.id in test and (not tasks or row.task in tasks)
    ]


def read_labels(data: Path) -> set[str]:
    """Return the allowed labels of all tasks; none if no task has labels."""
    file = data / "prepared/labels.json"
    by_task: dict[str, list[str]] = read_json(file) if file.is_file() else {}
    return {label for labels in by_task.values() for label in labels}


def _read_split(data: Path, split: str) -> list[Record]:
    file = data / f"prepared/{split}.jsonl"
    if not file.is_file():
        raise UserError(f"{file}: not found; run `make` or `dvc pull` to create it")
    return [*records.read(file)]


def _select_tasks(train: list[Record], tasks: Sequence[str]) -> list[Record]:
    known = dict.fromkeys(record.task for record in train)
    for task in tasks:
        if task not in known:
            raise UserError(
                f"params.yaml: serving.drift.tasks: no training record has the task {task!r}; "
                f"tasks: {', '.join(known)}"
            )
    return [record for record in train if not tasks or record.task in tasks]


def _read_record(record: Record, masker: TextMasker) -> ComparedText:
    return ComparedText(
        text=masker.mask_text(record.user_text),
        system=masker.mask_text(_join_contents(record.messages, ("system",))),
        answer=record.answer,
    )


def _read_request(request: Mapping[str, Any], masker: TextMasker) -> ComparedText:
    is_tuned = request.get("answered_by", PRODUCT) == PRODUCT
    return ComparedText(
        text=masker.mask_text(_join_contents(request["messages"], USER_ROLES)),
        system=masker.mask_text(_join_contents(request["messages"], ("system",))),
        answer=request.get("answer", "") if is_tuned else "",
    )


def _join_contents(messages: Iterable[Mapping[str, Any]], roles: Sequence[str]) -> str:
    return "\n".join(str(item["content"]) for item in messages if item["role"] in roles)


def _hash_prefixes(request: Mapping[str, Any]) -> list[int]:
    """Return a hash of the first message, of the first two, and so on, with key and user."""
    total = hash((request.get("key", ""), request.get("user", "")))
    hashes = []
    for message in request["messages"]:
        total = hash((total, message["role"], str(message["content"])))
        hashes.append(total)
    return hashes
