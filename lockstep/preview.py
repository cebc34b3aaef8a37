"""Show records as the model reads them in training, with the tokens that it learns marked.

Run `python -m lockstep.preview MODEL RECORDS`, or `make preview` after `dvc repro augment`. MODEL
is a model folder. RECORDS holds records of a stage, or lines {"messages": […]}. In a terminal, the
learnt text is green; elsewhere it stands between ⟦ and ⟧. What training would cut off comes last,
below a line that says so. The section `train` of params.yaml decides which turns are learnt; a
classifier or a regression model learns none of the text. Of a sequence-to-sequence model the source
comes first, then the target; training cuts each of them at train.max_length, which is not shown.
"""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from lockstep import params, records
from lockstep.cli import runner
from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import message_parsing, row_formats
from lockstep.data.sources import Source
from lockstep.errors import UserError
from lockstep.models import seq2seq
from lockstep.models.chat import IGNORE_INDEX, ChatTokenizer, Example
from lockstep.params import Section
from lockstep.records import Record
from lockstep.training.train_params import TrainParams

UNLIMITED = 2**31
"""A number of tokens that no record reaches."""

_SOURCE = Source(path="preview.jsonl", format="messages")
"""The settings by which messages are parsed: the defaults of a source."""


class Params(Section):
    """Section of params.yaml that the command reads."""

    train: TrainParams


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("records_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--number", type=click.IntRange(min=1), help="Number of records; by default all.")
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    help="Maximum number of tokens. The text is marked there, by default at train.max_length of "
    "params.yaml; JSON is cut there, by default nowhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print input_ids and labels as JSON lines.")
def main(
    model: Path, records_file: Path, number: int | None, max_length: int | None, as_json: bool
) -> None:
    from lockstep.models import loading

    train = params.read(Params).train if params.FILE.exists() else None
    rows = list(islice(read_records(records_file), number))
    if not rows:
        raise UserError(f"{records_file}: no records; write one JSON object per line")
    tokenizer = loading.load_tokenizer(model)
    has_config = (model / "config.json").exists()  # the folder of an adapter has none
    is_seq2seq = has_config and seq2seq.is_seq2seq(model)
    trained_length = train.max_length if train and not is_seq2seq else UNLIMITED
    for record in rows:
        example = encode_record(tokenizer, record, train, is_seq2seq)
        if as_json:
            end = max_length or UNLIMITED
            values = {"input_ids": example.input_ids[:end], "labels": example.labels[:end]}
            click.echo(json.dumps(values))
        else:
            click.echo(format_example(tokenizer, record, example, max_length or trained_length))


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file, whose lines are records or hold messages.

    Raise UserError with the number of a line that holds neither.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parse_record(line, f"{path}:{number}")


def encode_record(
    tokenizer: ChatTokenizer, record: Record, train: TrainParams | None, is_seq2seq: bool
) -> Example:
    """Return a record as training reads it, whole; without params.yaml the last turn is learnt."""
    if train is not None and train.objective in ("classification", "regression"):
        ids, _ = tokenizer.encode_input(record, UNLIMITED)
        return Example(ids, [IGNORE_INDEX] * len(ids))
    if is_seq2seq:
        pair = seq2seq.encode_pair(tokenizer, record, UNLIMITED)
        labels = [IGNORE_INDEX] * len(pair.source) + pair.target
        return Example(pair.source + pair.target, labels)
    if train is not None and train.objective != "sft":
        return tokenizer.encode_example(record, UNLIMITED)
    return tokenizer.encode_example(record, UNLIMITED, train.sft.loss_on if train else "last")


def format_example(
    tokenizer: ChatTokenizer, record: Record, example: Example, max_length: int
) -> str:
    """Return a heading with the counts of tokens, and the text with the learnt parts marked."""
    total = len(example.input_ids)
    heading = f"{record.origin}: {total} tokens, {example.answer_tokens} learnt"
    cut = max(0, total - max_length)
    if cut:
        lost = sum(label != IGNORE_INDEX for label in example.labels[max_length:])
        heading += f"; training cuts {cut} tokens, {lost} of them learnt"
    shown = _mark_learnt(tokenizer, example.input_ids[:max_length], example.labels[:max_length])
    if cut:
        rest = tokenizer.pretrained.decode(example.input_ids[max_length:])
        shown += f"\n--- cut at {max_length} tokens ---\n{click.style(rest, dim=True)}"
    return f"{click.style(heading, bold=True)}\n{shown}\n"


def _mark_learnt(tokenizer: ChatTokenizer, ids: list[int], labels: list[int]) -> str:
    """Return the text of the tokens; runs of learnt tokens are coloured or bracketed."""
    is_terminal = sys.stdout.isatty()
    parts = []
    start = 0
    while start < len(ids):
        learnt = labels[start] != IGNORE_INDEX
        end = start
        while end < len(ids) and (labels[end] != IGNORE_INDEX) == learnt:
            end += 1
        text = tokenizer.pretrained.decode(ids[start:end])
        if learnt:
            text = click.style(text, fg="green") if is_terminal else f"⟦{text}⟧"
        parts.append(text)
        start = end
    return "".join(parts)


def _parse_record(line: bytes, origin: str) -> Record:
    """Return the record in a line of JSON."""
    try:
        row: Any = strict_json.parse(line.decode("utf-8"))
    except (UnicodeDecodeError, InvalidRowError):
        raise UserError(f"{origin}: not valid JSON; write one JSON object per line") from None
    if not isinstance(row, dict) or "messages" not in row:
        raise UserError(f'{origin}: no messages; write a record or {{"messages": […]}}')
    try:
        if {"id", "task", "source", "origin"} <= row.keys():
            message_parsing.parse_messages(row["messages"], "messages", _SOURCE)
            return records.load(line)
        (parsed,) = row_formats.parse_row(row, _SOURCE)
    except InvalidRowError as error:
        reason = f"{error}: {error.detail}" if error.detail else str(error)
        raise UserError(f"{origin}: {reason}; correct the line") from None
    except TypeError as error:  # a key that records do not have
        raise UserError(f"{origin}: {error}; correct the line") from None
    return Record(
        messages=parsed.messages, task="", source=origin, origin=origin, tools=parsed.tools
    )


if __name__ == "__main__":
    runner.run(main)
