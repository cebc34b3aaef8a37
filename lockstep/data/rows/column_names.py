"""Names of columns: unknown and missing ones, and the fields that they probably mean."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from lockstep.data.files.table_cells import has_column
from lockstep.data.label_studio import minimal_rows, voting
from lockstep.data.rows import column_hints, field_synonyms
from lockstep.data.rows.row_fields import Row
from lockstep.data.rows.turn_rows import ID_COLUMNS, ORDER_COLUMNS, TURNS
from lockstep.data.source_formats import COMMON_FIELDS, UNNAMED_COMMON_FIELDS
from lockstep.data.sources import Source
from lockstep.data.span_annotations import span_rows

SYNONYMS: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "utterance", "query", "question", "content", "review", "comment",
             "comment_text", "tweet", "title", "body", "message", "input"),
    "plain_text": ("text", "content"),
    "label": ("label_text", "label", "intent", "category", "class", "target", "topic", "sentiment",
              "tag"),
    "labels": ("labels", "tags", "categories", "topics", "label"),
    "value": ("value", "score", "rating", "stars", "target", "label", "number"),
    "messages": ("messages", "conversation", "dialogue", "dialog"),
    "conversations": ("conversations", "conversation"),
    "instruction": ("instruction",),
    "input": ("input", "context"),
    "output": ("output", "response", "answer", "completion"),
    "prompt": ("prompt", "question", "instruction", "query", "input", "source",
               "problem"),
    "completion": ("completion", "response", "answer", "output", "target", "solution"),
    "system": field_synonyms.SYSTEM,
    "tools": field_synonyms.TOOLS,
    "chosen": ("chosen", "preferred", "accepted"),
    "rejected": ("rejected", "dispreferred"),
}  # fmt: skip
"""Field of a format -> names that public data sets give it, the most common first."""

CONVERSATION_COLUMNS = (
    *("conversation", "conversation_id", "dialogue_id", "dialog_id", "conv_id", "chat_id"),
    *("session_id", "thread_id"),
)
"""Columns whose value the turns of a conversation share."""
PARENT_COLUMNS = ("parent", "parent_id", "parent_message_id", "reply_to")
"""Columns with the id of the turn before."""

_LOOSE_SYNONYMS: dict[str, tuple[str, ...]] = {
    "instruction": ("question", "prompt", "query"),
    "text": ("prompt", "instruction"),
    "label": ("labels", "answer", "output"),
    "messages": ("conversations", "turns", "utterances", "chat"),
    "conversations": ("messages", "dialogue", "turns", "utterances", "chat"),
    "conversation": CONVERSATION_COLUMNS,
    "parent": PARENT_COLUMNS,
}
"""Further names that a message may suggest, though they do not tell the format of a file."""

_TABLES = (".csv", ".tsv", ".xlsx")
"""Suffixes of files whose first row names the columns."""

_DELIMITED = (".csv", ".tsv")
"""Suffixes of files in which a text may be divided into several cells by mistake."""
_NAMELESS = re.compile(r"Unnamed: [1-9]\d*")
"""Column without a name, as pandas writes it; the first one is an index."""

_OWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "bfcl": ("id",),
    "ifeval": ("key",),
    "turns": (TURNS, *ID_COLUMNS, *ORDER_COLUMNS),
    "label_studio": (*minimal_rows.OWN_COLUMNS, voting.ANSWER, voting.REJECTED, voting.GROUP),
}
"""Format -> columns that its files have, or its reader adds, beside the data."""

MAX_LISTED = 8
"""Maximum number of unknown columns that a line names."""
REMEDY = "name them in columns, slices or templates, or set prepare.unknown_columns to note"
"""Remedy for unknown columns that are refused."""
_SIMILARITY = 0.75

_SECOND_FILES = {
    "bfcl": {
        "ground_truth": "set answers to the file of the right answers, which BFCL publishes as "
        "possible_answer/NAME.json, or if no function is to be called (irrelevance), "
        "constants: {ground_truth: []}",
        "function": "set functions to the files of the classes that involved_classes names",
    }
}
"""Format -> field -> the setting by which a second file adds it."""

_ID = "id"
"""Field that is read only to join answers, so that there is no point in naming its column."""


def find_unknown_columns(columns: Iterable[str], source: Source) -> list[str]:
    """Return the columns of a source that nothing reads, in alphabetical order."""
    names = {*columns}
    expected = {*source.used_columns, *_OWN_COLUMNS.get(source.format, ())}
    if source.format == "spans":
        expected |= {*span_rows.find_columns(names, source).values()}
    if not names.isdisjoint(field_synonyms.VERDICT_MARKS):
        expected.add(field_synonyms.VERDICT)
    return sorted(names - expected)


def describe_unknown_columns(
    unknown: Sequence[str], columns: Collection[str], source: Source
) -> str:
    """Say which columns nothing reads, those first that resemble a field."""
    meanings = _guess_fields(unknown, columns, source)
    names = [f"{name} ({meanings[name]})" for name in unknown if name in meanings]
    names += [name for name in unknown if name not in meanings]
    listed = [*names[: max(MAX_LISTED, len(meanings))]]
    more = f" … and {len(names) - len(listed)} more" if len(names) > len(listed) else ""
    return f"columns that nothing reads: {', '.join(listed)}{more}"


def find_missing_columns(columns: Collection[str], names: Iterable[str]) -> list[str]:
    """Return the names without a column of that name, or without one that their path leads into."""
    return [name for name in dict.fromkeys(names) if not has_column(columns, name)]


def describe_missing_columns(
    missing: Sequence[str], columns: Collection[str], source: Source, rows: Sequence[Row] = ()
) -> str:
    """Say which columns are missing, which there are, and what to set.

    The values of some rows tell more than the names of their columns.
    """
    fields = {source.get_column(name): name for name in source.fields}
    nearest = {name: find_nearest(fields.get(name, name), columns) for name in missing}
    unknown = {name: fields[name] for name in missing if name in fields and not nearest[name]}
    hints = column_hints.suggest_settings(unknown, rows, source) if unknown else {}
    files = _SECOND_FILES.get(source.format, {})
    second = [files[fields[name]] for name in missing if fields.get(name) in files]
    if second:
        nearest = dict.fromkeys(missing)
    renamed = [
        f"{fields[name]}: {near}" for name, near in nearest.items() if near and name in fields
    ]
    others = [
        f"write {near} for {name}" for name, near in nearest.items() if near and name not in fields
    ]
    set_columns = [f"set columns: {{{', '.join(renamed)}}}"] if renamed else []
    hinted = [f"set {hint}" for hint in dict.fromkeys(hints.values())]
    repairs = [*second, *set_columns, *hinted, *others]
    is_table = any(suffix in source.location.lower() for suffix in _TABLES)
    remedy = "correct columns or slices"
    if is_table and source.header and not {*source.used_columns} & {*columns}:
        remedy += ", or header: false if the first row is data,"
    noun = "column" if len(missing) == 1 else "columns"
    return (
        f"no {noun} {', '.join(missing)}; it has {_list_columns(columns, rows)}: "
        f"{'; '.join(repairs) or remedy} in prepare.sources"
    )


def find_nearest(field: str, columns: Collection[str]) -> str | None:
    """Return the column that a field probably has: a synonym or a similar name."""
    by_name = {name.lower(): name for name in columns}
    for synonym in (*SYNONYMS.get(field, ()), *_LOOSE_SYNONYMS.get(field, ())):
        if synonym in by_name:
            return by_name[synonym]
    matches = difflib.get_close_matches(field.lower(), by_name, n=1, cutoff=_SIMILARITY)
    return by_name[matches[0]] if matches else None


def _guess_fields(
    unknown: Sequence[str], columns: Collection[str], source: Source
) -> Mapping[str, str]:
    """Return a remark for each unknown column that resembles a field which the rows lack."""
    remarks: dict[str, str] = {}
    fields = [name for name in source.fields if source.get_column(name) not in columns]
    fields += [name for name in UNNAMED_COMMON_FIELDS if name not in columns]
    for field in fields:
        nearest = find_nearest(field, unknown)
        if nearest:
            remarks.setdefault(nearest, f"did you mean {field}?")
    nameless = next(filter(_NAMELESS.fullmatch, unknown), None)
    if nameless and any(suffix in source.location.lower() for suffix in _DELIMITED):
        remarks[nameless] = "if it goes on with the text before it, set extra_cells: join"
    for field in COMMON_FIELDS:
        if field in unknown and field not in (*UNNAMED_COMMON_FIELDS, _ID):
            remarks[field] = f"to read it, set columns: {{{field}: {field}}}"
    return remarks


def _list_columns(columns: Collection[str], rows: Sequence[Row]) -> str:
    names = column_hints.show_columns(column_hints.list_columns(rows)) if rows else [*columns]
    more = f" … and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
