"""Records -> the token rows of an objective, with none lost in silence."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics import scores
from lockstep.models import chat
from lockstep.models.model_io import Head
from lockstep.records import Record, parse_labels
from lockstep.training.train_params import Objective, Train


@dataclass(frozen=True, slots=True)
class Row:
    """What a trainer's collator takes of one record."""

    values: dict[str, Any]
    tokens: int
    """Of the row, without padding."""
    learnt: int
    """Tokens whose likelihood the loss sees; 1 for a row that gets a number."""
    truncated: bool
    task: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in the order of their records, and what truncation did to them."""

    rows: list[Row]
    dropped: list[str]
    """Origins of the records whose whole answer was cut off; they are not among the rows."""

    @property
    def truncated(self) -> int:
        """Rows whose answer lost its end."""
        return sum(row.truncated for row in self.rows)

    @property
    def tokens(self) -> int:
        return sum(row.tokens for row in self.rows)

    @property
    def learnt(self) -> int:
        return sum(row.learnt for row in self.rows)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [row.tokens for row in self.rows]

    @property
    def tasks(self) -> list[str]:
        """The tasks that occur, by name."""
        return sorted({row.task for row in self.rows})


def render(
    tokenizer: Any,
    records: Iterable[Record],
    chosen: Train,
    head: Head | None = None,
    part: str = "training",
) -> Rows:
    """Render the records of the chosen tasks for the objective; `part` names them in a refusal.

    `head` is what a model that ends in numbers learns. UserError where a record is of another kind
    than the objective learns, or too many lose their answer at `max_length`.
    """
    rows, dropped = [], []
    make = _makers(tokenizer, chosen, head)[chosen.objective]
    for record in records:
        if chosen.tasks and record.task not in chosen.tasks:
            continue
        for row in make(record):
            if row.learnt:
                rows.append(row)
            else:
                dropped.append(record.origin)
    total = len(rows) + len(dropped)
    if not total:
        tasks = f" of tasks {', '.join(chosen.tasks)}" if chosen.tasks else ""
        raise UserError(
            f"no {part} record{tasks}: add sources, or change prepare.split or train.tasks in "
            "params.yaml"
        )
    if not rows or len(dropped) > chosen.max_dropped_fraction * total:
        raise UserError(
            f"{len(dropped)} of {total} rows lose their whole answer at train.max_length "
            f"{chosen.max_length} ({', '.join(dropped[:3])} …); raise it or "
            "train.max_dropped_fraction"
        )
    return Rows(rows, dropped)


def weighted(records: Iterable[Record]) -> list[Record]:
    """Each record as often as its weight says; a hash of its id decides on the fraction."""
    return [record for record in records for _ in range(_times(record))]


def _times(record: Record) -> int:
    fraction, whole = math.modf(record.weight)
    draw = int.from_bytes(hashlib.sha256(record.id.encode()).digest()[:8], "big") / 2**64
    return int(whole) + (draw < fraction)


def _makers(
    tokenizer: Any, chosen: Train, head: Head | None
) -> dict[Objective, Callable[[Record], Iterator[Row]]]:
    limit, ends_in = chosen.max_length, head or Head("regression", [])

    def supervised(record: Record) -> Iterator[Row]:
        if record.desirable is False:
            raise _unfit(record, "is an answer to be avoided, which sft would learn", "kto")
        example = chat.encode_example(
            tokenizer, record, limit, every_turn=chosen.sft.loss_on == "all"
        )
        values = {"input_ids": example.input_ids, "labels": example.labels}
        truncated = example.input_ids[-1] != chat.get_end_of_turn_id(tokenizer)
        yield Row(values, len(example.input_ids), example.answer_tokens, truncated, record.task)

    def pair(record: Record) -> Iterator[Row]:
        if record.rejected is None:
            raise _unfit(
                record, f"has no rejected answer, and {chosen.objective} compares two", "sft"
            )
        prompt = chat.encode_prompt(tokenizer, record.prompt, record.tools)
        good = chat.encode_last_turn(tokenizer, record, prompt)
        bad = chat.encode_answer(tokenizer, record.rejected)
        room = max(0, limit - len(prompt))
        values = {"prompt_ids": prompt, "chosen_ids": good[:room], "rejected_ids": bad[:room]}
        longest = len(prompt) + max(len(good[:room]), len(bad[:room]))
        truncated = max(len(good), len(bad)) > room
        yield Row(values, longest, min(len(good[:room]), len(bad[:room])), truncated, record.task)

    def whole_pair(record: Record) -> Iterator[Row]:
        for row in pair(record):
            prompt = row.values["prompt_ids"]
            both = {name: prompt + row.values[name] for name in ("chosen_ids", "rejected_ids")}
            yield Row(both, row.tokens, row.learnt, row.truncated, row.task)

    def unpaired(record: Record) -> Iterator[Row]:
        if record.rejected is None and record.desirable is None:
            raise _unfit(record, "says not whether its answer is desirable", "sft")
        prompt = chat.encode_prompt(tokenizer, record.prompt, record.tools)
        room = max(0, limit - len(prompt))
        judged = [(chat.encode_last_turn(tokenizer, record, prompt), record.desirable is not False)]
        if record.rejected is not None:
            judged.append((chat.encode_answer(tokenizer, record.rejected), False))
        for answer, good in judged:
            values = {"prompt_ids": prompt, "completion_ids": answer[:room], "label": good}
            length = len(prompt) + len(answer[:room])
            yield Row(values, length, len(answer[:room]), len(answer) > room, record.task)

    def prompted(record: Record) -> Iterator[Row]:
        prompt = chat.encode_prompt(tokenizer, record.prompt, record.tools)
        asked = json.dumps({"messages": record.prompt, "tools": record.tools}, ensure_ascii=False)
        values, fits = {"prompt": asked, "reference": record.answer}, len(prompt) < limit
        yield Row(values, len(prompt), int(fits), False, record.task)

    def labelled(record: Record) -> Iterator[Row]:
        ids, truncated = chat.encode_input(tokenizer, record, limit)
        yield Row(
            {"input_ids": ids, "labels": target(record, ends_in)},
            len(ids),
            1,
            truncated,
            record.task,
        )

    return {
        "sft": supervised,
        "dpo": pair,
        "orpo": pair,
        "simpo": pair,
        "kto": unpaired,
        "reward": whole_pair,
        "grpo": prompted,
        "classification": labelled,
        "regression": labelled,
    }


def target(record: Record, head: Head) -> float | int | list[float]:
    """What the head learns: a number, the place of a label, or 1 for each of several labels."""
    if head.problem == "regression":
        if not scores.is_number(record.answer):
            raise _unfit(record, f"answers {record.answer[:40]!r}, which is no number", "sft")
        return float(record.answer)
    names = parse_labels(record.answer)
    if not set(names) <= set(head.labels):
        raise _unfit(record, f"answers {record.answer[:40]!r}, which is no label", "sft")
    if head.problem == "multi_label_classification":
        return [float(label in names) for label in head.labels]
    if len(names) != 1:
        raise _unfit(record, "has none or several labels, and no training record has", "sft")
    return head.labels.index(names[0])


def _unfit(record: Record, problem: str, other: Objective) -> UserError:
    return UserError(
        f"{record.origin}: {problem}; name other tasks in train.tasks, or take train.objective "
        f"{other}"
    )
