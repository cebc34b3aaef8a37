"""Rows of token ids that an objective trains on, rendered from records."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics import scores
from lockstep.models import seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.records import Record, parse_labels
from lockstep.training import seq2seq_checks
from lockstep.training.train_params import Objective, TrainParams

ANSWER_OBJECTIVES = ("sft", "grpo")
"""Objectives that take the answer of a record as the right one; they skip undesirable answers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One training row."""

    values: dict[str, Any]
    """Columns for the trainer's data collator, e.g. input_ids and labels."""
    tokens: int
    """Number of tokens, without padding."""
    loss_tokens: int
    """Number of tokens in the loss; 1 for a row that is labelled by a class or a number."""
    truncated: bool
    task: str
    positions: int = 0
    """Number of the model's positions that the row takes, if encoder and decoder divide its tokens;
    0: as many as it has tokens."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in the order of their records."""

    rows: list[Row]
    dropped: list[str]
    """Origins of the rows that were left out because truncation took their whole answer."""
    equal: list[str]
    """Origins of the pairs that were left out because truncation made their answers equal."""

    @property
    def truncated(self) -> int:
        """Number of rows whose answer lost its end."""
        return sum(row.truncated for row in self.rows)

    @property
    def tokens(self) -> int:
        """Number of tokens of all rows, without padding."""
        return sum(row.tokens for row in self.rows)

    @property
    def loss_tokens(self) -> int:
        """Number of tokens in the loss."""
        return sum(row.loss_tokens for row in self.rows)

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of each row."""
        return [row.tokens for row in self.rows]

    @property
    def longest(self) -> int:
        """Largest number of the model's positions that a row takes."""
        return max(row.positions or row.tokens for row in self.rows)

    @property
    def tasks(self) -> list[str]:
        """Tasks of the rows, sorted by name."""
        return sorted({row.task for row in self.rows})


@dataclass(frozen=True, slots=True)
class Selection:
    """Records of a split that the objective trains on."""

    records: list[Record]
    skipped: int
    """Number of records left out because their answer is undesirable."""


def select_records(records: Iterable[Record], params: TrainParams, split: str) -> Selection:
    """Return the records of `train.tasks` whose answers suit the objective.

    sft and grpo skip records whose answer is marked undesirable. `split` names the records in the
    message. Raise UserError if no record is left.
    """
    task_records = [r for r in records if not params.tasks or r.task in params.tasks]
    if params.objective in ANSWER_OBJECTIVES:
        selected = [record for record in task_records if record.desirable is not False]
    else:
        selected = task_records
    if not task_records:
        tasks = f" of tasks {', '.join(params.tasks)}" if params.tasks else ""
        raise UserError(
            f"no {split} record{tasks}: add sources, or change prepare.split or train.tasks in "
            "params.yaml"
        )
    if not selected:
        raise UserError(
            f"no {split} record with a desirable answer, which {params.objective} needs: add "
            "sources, or set train.objective to kto in params.yaml"
        )
    return Selection(selected, len(task_records) - len(selected))


def repeat_by_weight(records: Iterable[Record]) -> list[Record]:
    """Repeat each record as often as its weight says."""
    return [record for record in records for _ in range(record.repeats)]


def render_rows(
    tokenizer: ChatTokenizer,
    records: Sequence[Record],
    params: TrainParams,
    head: Head | None = None,
    is_seq2seq: bool = False,
) -> Rows:
    """Render records to the rows of the objective.

    `head` is the head of the model, None for a generative model, which may be an encoder-decoder
    (`is_seq2seq`). Raise UserError if a record does not suit the objective, or if at `max_length`
    too many rows lose their whole answer or the difference between their answers.
    """
    renderer = RowRenderer(tokenizer, params, head, is_seq2seq)
    rows, dropped, equal = [], [], []
    for record in records:
        for row in renderer.render(record):
            if not row.loss_tokens:
                dropped.append(record.origin)
            elif "chosen_ids" in row.values and (
                row.values["chosen_ids"] == row.values["rejected_ids"]
            ):
                equal.append(record.origin)
            else:
                rows.append(row)
    total = len(rows) + len(dropped) + len(equal)
    for origins, loss in (
        (dropped, "their whole answer"),
        (equal, "the difference between their two answers"),
    ):
        if origins and (not rows or len(origins) > params.max_dropped_fraction * total):
            raise UserError(
                f"{len(origins)} of {total} rows lose {loss} at train.max_length "
                f"{params.max_length} ({', '.join(origins[:3])} …); raise it or "
                "train.max_dropped_fraction"
            )
    return Rows(rows, dropped, equal)


class RowRenderer:
    """Renders records to the rows of one objective."""

    def __init__(
        self, tokenizer: ChatTokenizer, params: TrainParams, head: Head | None, is_seq2seq: bool
    ) -> None:
        self.tokenizer, self.params, self.head = tokenizer, params, head
        methods: dict[Objective, Callable[[Record], Iterator[Row]]] = {
            "sft": self._render_source_and_target if is_seq2seq else self._render_example,
            "dpo": self._render_pair,
            "orpo": self._render_pair,
            "simpo": self._render_pair,
            "kto": self._render_unpaired,
            "reward": self._render_full_pair,
            "grpo": self._render_prompt,
            "classification": self._render_target,
            "regression": self._render_target,
        }
        self.render = methods[params.objective]
        """Function that yields the rows of a record."""

    def _render_example(self, record: Record) -> Iterator[Row]:
        """Yield the whole conversation, with labels for the answers in the loss."""
        example = self.tokenizer.encode_example(
            record, self.params.max_length, self.params.sft.loss_on
        )
        values = {"input_ids": example.input_ids, "labels": example.labels}
        truncated = example.input_ids[-1] not in self.tokenizer.end_ids
        yield Row(values, len(example.input_ids), example.answer_tokens, truncated, record.task)

    def _render_source_and_target(self, record: Record) -> Iterator[Row]:
        """Yield what the encoder reads and what the decoder must generate."""
        seq2seq_checks.check_record(record, self.params)
        pair = seq2seq.encode_pair(self.tokenizer, record, self.params.max_length)
        source, target = len(pair.source), len(pair.target)
        values = {"input_ids": pair.source, "labels": pair.target}
        positions = max(source, target)
        yield Row(values, source + target, target, pair.truncated, record.task, positions)

    def _render_pair(self, record: Record) -> Iterator[Row]:
        """Yield a prompt with the chosen and the rejected answer."""
        if record.rejected is None:
            raise _build_error(
                record,
                f"has no rejected answer, but {self.params.objective} compares two answers",
                "sft",
            )
        prompt, chosen = self.tokenizer.encode_record(record)
        _, rejected = self.tokenizer.encode_record(record.with_rejected())
        room = self._count_free_tokens(prompt)
        truncated = max(len(chosen), len(rejected)) > room
        chosen, rejected = chosen[:room], rejected[:room]
        values = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
        tokens = len(prompt) + max(len(chosen), len(rejected))
        yield Row(values, tokens, min(len(chosen), len(rejected)), truncated, record.task)

    def _render_full_pair(self, record: Record) -> Iterator[Row]:
        """Yield two whole conversations, prompt and each answer, and the margin if there is one."""
        for row in self._render_pair(record):
            prompt = row.values["prompt_ids"]
            both: dict[str, Any] = {
                name: prompt + row.values[name] for name in ("chosen_ids", "rejected_ids")
            }
            if record.margin is not None:
                both["margin"] = record.margin
            yield Row(both, row.tokens, row.loss_tokens, row.truncated, row.task)

    def _render_unpaired(self, record: Record) -> Iterator[Row]:
        """Yield each answer with its prompt and whether it is desirable."""
        if record.rejected is None and record.desirable is None:
            raise _build_error(record, "does not say whether its answer is desirable", "sft")
        prompt, answer = self.tokenizer.encode_record(record)
        room = self._count_free_tokens(prompt)
        answers = [(answer, record.desirable is not False)]
        if record.rejected is not None:
            _, rejected = self.tokenizer.encode_record(record.with_rejected())
            answers.append((rejected, False))
        for answer, desirable in answers:
            completion = answer[:room]
            values = {"prompt_ids": prompt, "completion_ids": completion, "label": desirable}
            tokens, truncated = len(prompt) + len(completion), len(answer) > room
            yield Row(values, tokens, len(completion), truncated, record.task)

    def _render_prompt(self, record: Record) -> Iterator[Row]:
        """Yield a prompt as JSON and the reference answer; the trainer renders the prompt."""
        tokens = len(self._encode_prompt(record))
        prompt = json.dumps({"messages": record.prompt, "tools": record.tools}, ensure_ascii=False)
        values = {"prompt": prompt, "reference": record.answer}
        yield Row(values, tokens, int(tokens < self.params.max_length), False, record.task)

    def _render_target(self, record: Record) -> Iterator[Row]:
        """Yield the input of a model with a head, and the target of the head."""
        ids, truncated = self.tokenizer.encode_input(record, self.params.max_length)
        head = self.head or Head("regression", [])
        values = {"input_ids": ids, "labels": read_target(record, head)}
        yield Row(values, len(ids), 1, truncated, record.task)

    def _encode_prompt(self, record: Record) -> list[int]:
        return self.tokenizer.encode_prompt(record.prompt, record.tools)

    def _count_free_tokens(self, prompt: list[int]) -> int:
        """Return the number of tokens that the prompt leaves for an answer."""
        return max(0, self.params.max_length - len(prompt))


def read_target(record: Record, head: Head) -> float | int | list[float]:
    """Return the head's target: a number, the index of the label, or 0 and 1 for several labels.

    Raise UserError if the answer of the record is no such target.
    """
    answer = record.answer[:40]
    if head.problem == "regression":
        if not scores.is_number(record.answer):
            raise _build_error(record, f"has the answer {answer!r}, which is not a number", "sft")
        return float(record.answer)
    names = parse_labels(record.answer)
    if not set(names) <= set(head.labels):
        raise _build_error(record, f"has the answer {answer!r}, which is not a label", "sft")
    if head.problem == "multi_label_classification":
        return [float(label in names) for label in head.labels]
    if len(names) != 1:
        raise _build_error(
            record, f"has {len(names)} labels, but every training record has one", "sft"
        )
    return head.labels.index(names[0])


def _build_error(record: Record, problem: str, objective: Objective) -> UserError:
    """Return the error for a record that does not suit the objective; it suits `objective`."""
    return UserError(
        f"{record.origin}: {problem}; name other tasks in train.tasks, or set train.objective to "
        f"{objective}"
    )
