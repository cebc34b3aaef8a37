"""Files of any accepted format -> records, with every row that is not one named and why."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.corpus.cleaning import clean
from stages.corpus.sources import CANONICAL, Source
from stages.errors import Refusal
from stages.records import Message, Record

CONTROL_TOKEN = re.compile(r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|</?s>")
"""Spellings that chat templates use for turns: inside data they would forge one."""

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that is no record: where it stands, why, and what it was."""

    origin: str
    reason: str
    row: str


class _UnfitError(Exception):
    """The reason, a snake_case word, why a row is no record."""


def read(root: Path, source: Source) -> Iterator[Record | Rejected]:
    """A record or a rejection for each row of the source; Refusal where the file itself is bad."""
    labels = _labels(root, source)
    path = root / source.path
    rows = _ROWS[path.suffix](_text(path, source.encoding), source)
    count = 0
    for line, row in rows:
        count += 1
        origin = f"{source.path}:{line}"
        try:
            if isinstance(row, _UnfitError):
                raise row
            yield _record(row, source, labels, origin)
        except _UnfitError as unfit:
            text = row if isinstance(row, str) else _shown(row)
            yield Rejected(origin=origin, reason=str(unfit), row=text)
    if count == 0:
        raise Refusal(f"{path}: no rows; remove it from prepare.sources or fill it")


def _text(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Refusal(f"{path}: not found; put it there or correct prepare.sources") from None
    except IsADirectoryError:
        raise Refusal(f"{path}: a folder; name a file in prepare.sources") from None
    except PermissionError:
        raise Refusal(f"{path}: may not be read; change its permissions") from None
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Refusal(
            f"{path}: not {encoding} at byte {error.start}; name its encoding in prepare.sources"
        ) from None


def _labels(root: Path, source: Source) -> set[str] | None:
    if not source.labels:
        return None
    path = root / source.labels
    try:
        labels = json.loads(_text(path, "utf-8"))
    except ValueError:
        labels = None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise Refusal(f"{path}: must be a JSON list of label names")
    return set(labels)


def _jsonl_rows(text: str, source: Source) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _parsed(line)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line, parse_constant=_no_constant, object_pairs_hook=_distinct)
    except _UnfitError as unfit:
        return unfit
    except (ValueError, RecursionError):
        return _UnfitError("invalid_json")


def _json_rows(text: str, source: Source) -> Iterator[tuple[int, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{source.path}: not JSON: {error}; repair it or use .jsonl") from None
    if not isinstance(rows, list):
        raise Refusal(f"{source.path}: must be a JSON array of objects")
    return _elements(text, len(rows))


def _elements(text: str, count: int) -> Iterator[tuple[int, Any]]:
    """Each element of a JSON array and the line on which it begins, as strict as a .jsonl row."""
    decoder, at, line, seen = json.JSONDecoder(), text.index("[") + 1, 1, 0
    for _ in range(count):
        at = re.compile(r"[\s,]*").match(text, at).end()  # type: ignore[union-attr]
        line += text.count("\n", seen, at)
        seen = at
        at = decoder.raw_decode(text, at)[1]
        yield line, _parsed(text[seen:at])


def _csv_rows(text: str, source: Source) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(sys.maxsize)  # of the whole process
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise Refusal(f"{source.path}:1: header is not CSV: {error}; repair it") from None
    if header is None:
        raise Refusal(f"{source.path}: empty; remove it from prepare.sources or fill it")
    needed = [source.column(field) for field in CANONICAL[source.format] if source.requires(field)]
    absent = [name for name in [*needed, *source.slices] if name not in header]
    if absent:
        raise Refusal(
            f"{source.path}: no column {absent[0]}; it has {', '.join(header)}: "
            "correct columns or slices in prepare.sources"
        )
    used = [*map(source.column, CANONICAL[source.format]), *source.slices]
    twice = [name for name in used if header.count(name) > 1]
    if twice:
        raise Refusal(f"{source.path}: two columns {twice[0]}; rename or remove one")
    while True:
        line = reader.line_num + 1
        row: list[str] | _UnfitError | None
        try:
            row = next(reader, None)
        except csv.Error:
            row = _UnfitError("invalid_csv")
        if row is None:
            return
        if not isinstance(row, _UnfitError) and len(row) == len(header):
            yield line, dict(zip(header, row, strict=True))
        elif reader.line_num > line:  # rows of their own may lie in it, which nobody would count
            raise Refusal(
                f"{source.path}:{line}: a quote that opens here does not close before line "
                f"{reader.line_num}; close it, or double it where it is text"
            )
        elif row:
            yield (
                line,
                row if isinstance(row, _UnfitError) else _UnfitError("wrong_number_of_cells"),
            )


_ROWS = {".jsonl": _jsonl_rows, ".json": _json_rows, ".csv": _csv_rows}


def _record(row: Any, source: Source, labels: set[str] | None, origin: str) -> Record:
    if not isinstance(row, dict):
        raise _UnfitError("not_an_object")
    messages = _MESSAGES[source.format](row, source)
    if source.system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": source.system}, *messages]
    if labels is not None and messages[-1]["content"] not in labels:
        raise _UnfitError("unknown_label")
    return Record(
        messages=messages,
        task=source.task,
        source=source.path,
        origin=origin,
        slices={name: _slice(row, name) for name in source.slices},
        weight=source.weight,
    )


def _turns(prompt: str, answer: str) -> list[Message]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def _alpaca(row: dict[str, Any], source: Source) -> list[Message]:
    instruction, extra = _field(row, source, "instruction"), row.get(source.column("input"))
    if source.requires("input") and source.column("input") not in row:
        raise _UnfitError("missing_input")
    prompt = f"{instruction}\n{_checked(extra, 'input')}" if extra else instruction
    return _turns(prompt, _field(row, source, "output"))


def _prompt_completion(row: dict[str, Any], source: Source) -> list[Message]:
    return _turns(_field(row, source, "prompt"), _field(row, source, "completion"))


def _classification(row: dict[str, Any], source: Source) -> list[Message]:
    return _turns(_field(row, source, "text"), _field(row, source, "label"))


def _messages(row: dict[str, Any], source: Source) -> list[Message]:
    turns = row.get(source.column("messages"))
    if not isinstance(turns, list) or not turns:
        raise _UnfitError("missing_messages")
    messages = []
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise _UnfitError("unknown_role")
        messages.append({"role": turn["role"], "content": _checked(turn.get("content"), "content")})
    roles = [message["role"] for message in messages]
    if roles[-1] != "assistant":
        raise _UnfitError("ends_without_answer")
    turns_after_system = roles[roles[0] == "system" :]
    if turns_after_system != ["user", "assistant"] * (len(turns_after_system) // 2):
        raise _UnfitError("turns_do_not_alternate")
    return messages


_MESSAGES = {
    "alpaca": _alpaca,
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "classification": _classification,
}


def _field(row: dict[str, Any], source: Source, field: str) -> str:
    if source.column(field) not in row:
        raise _UnfitError(f"missing_{field}")
    return _checked(row[source.column(field)], field)


def _checked(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise _UnfitError(f"{field}_not_text")
    bare, _ = clean(value, ["invisible", "width"])  # cleaning must not empty or forge a turn
    if not bare.strip():
        raise _UnfitError(f"empty_{field}")
    if CONTROL_TOKEN.search(bare):
        raise _UnfitError("control_token")
    if "\0" in value:
        raise _UnfitError("nul_character")
    return _encodable(value)


def _encodable(value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _UnfitError("lone_surrogate")
    return value


def _slice(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise _UnfitError(f"missing_{name}")
    return _encodable(str(value))


def _no_constant(name: str) -> Any:
    raise _UnfitError("nan_or_infinity")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _UnfitError("duplicate_keys")
    return row


def _shown(row: Any) -> str:
    """At most 200 characters of the row, for the person who repairs it."""
    text = (
        "" if isinstance(row, _UnfitError) else json.dumps(row, ensure_ascii=True, sort_keys=True)
    )
    return text[:200]


def write_rejected(path: Path, rejected: list[Rejected]) -> None:
    """One JSON line for each rejected row."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rejected:
            stream.write(json.dumps(asdict(row), ensure_ascii=True, sort_keys=True) + "\n")
