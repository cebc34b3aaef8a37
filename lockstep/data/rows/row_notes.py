"""Notes on rows that become records as they are, though something in them may be a mistake.

`prepare` counts them by kind, in a line with the first one and in the data card.
"""

from typing import Any

from lockstep.data.rejected_rows import show_value
from lockstep.data.rows import field_synonyms, learnt_turns
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.row_fields import Row
from lockstep.data.source_formats import COMMON_FIELDS, TEXT_FIELDS
from lockstep.data.sources import Source

NEGATIVE_MARGIN, PLACEHOLDER = "negative_margin", "placeholder_text"
ABSENT_INPUT, UNREAD_INPUT = "absent_input", "unread_input"
TURNS_IN_QUESTION = "turns_in_question"
NAMES_READ, NAMES_LEARNT = "speaker_names", "learnt_speaker_names"
TURNS_IN_LIST = "turns_in_list"
TREE, CANDIDATES = "tree_of_turns", "answers_with_candidates"
TEMPLATE_OPTIONS = "chat_template_kwargs"

_ARGUMENTS_REMEDY = "prepare.mismatched_arguments: reject leaves such rows out"
_DESCRIPTIONS = {
    learnt_turns.UNKNOWN: f"call a function with an argument that it lacks; {_ARGUMENTS_REMEDY}",
    learnt_turns.MISSING: f"call a function without a required argument; {_ARGUMENTS_REMEDY}",
    learnt_turns.INVALID: f"call a function with a value that its schema does not allow; "
    f"{_ARGUMENTS_REMEDY}",
    learnt_turns.UNDECLARED: "call a function that they do not declare, as the benchmark has it",
    NEGATIVE_MARGIN: "score the rejected answer higher than the chosen one; leave them out by "
    "where, or correct columns",
    PLACEHOLDER: "have a text that often stands for a missing value, which is learnt; if it does, "
    "leave them out by where",
    ABSENT_INPUT: "have an input that says that there is none, which is left out",
    UNREAD_INPUT: "have a column beside the question that nothing reads, though it may belong to "
    "it; add it by templates: {prompt: …}, read the file by format: alpaca, or set "
    "ignored_fields",
    TURNS_IN_QUESTION: "have the turns of a conversation in the text of their question, and are "
    "read as that conversation",
    TURNS_IN_LIST: "have a list of texts as their question, and are read as a conversation whose "
    "turns alternate and end with the user's",
    TREE: "hold a tree of turns, of which only the thread with the best replies is read",
    CANDIDATES: "have several candidates for each answer, of which the last one is learnt",
    NAMES_READ: "begin their question and answer with the names of speakers, which are left out",
    NAMES_LEARNT: "begin a question or an answer with the name of a speaker, which is learnt; if "
    "it is no part of the text, name it in roles, e.g. roles: {Q: user, A: assistant}, which "
    "leaves it out in formats with a prompt",
    TEMPLATE_OPTIONS: "set options of the chat template, which are not learnt",
}
"""Kind of a note -> what the rows do, and the remedy."""

_ABSENT_INPUTS = frozenset([
    "noinput", "no input", "no input provided", "no input required", "no input needed", "无输入",
    "無輸入", "没有输入", "无需输入", "無需輸入",
])  # fmt: skip
"""Texts, without brackets, that stand for an empty input in files made after Self-Instruct."""
_BRACKETS = " \t\r\n<>()[]（）【】.。"
_MARKS = frozenset(["<noinput>", "<nooutput>", "无输入", "无输出"])
"""Texts that stand for a missing value in any file."""
_BESIDE_QUESTION = ("input", "context")
"""Columns that belong to the question beside them."""
_QUESTION_FORMATS = ("alpaca", "prompt_completion", "preference", "unpaired_preference")
_PLACEHOLDERS = frozenset([
    "nan", "NaN", "NAN", "none", "None", "NONE", "null", "Null", "NULL", "n/a", "N/A", "#N/A",
    "<NA>", "NaT", "无", *_MARKS,
])  # fmt: skip
"""Texts that programs write into tables for a missing value, such as pandas and databases."""
_TABLES = (".csv", ".tsv", ".xlsx")
"""Suffixes of files in which a missing value is a text; others have null."""


class PlaceholderFinder:
    """Finds texts that stand for a missing value in the text columns of a source."""

    def __init__(self, source: Source) -> None:
        """Collect the columns whose values become texts of a record."""
        fields = [name for name in source.fields if name in TEXT_FIELDS]
        fields += [name for name in COMMON_FIELDS if name in TEXT_FIELDS and source.sets(name)]
        systems = field_synonyms.SYSTEM if source.is_conversational else ()
        columns = [*map(source.get_column, fields), *source.template_columns, *systems]
        self.columns = tuple(dict.fromkeys(columns))
        self.input = source.get_column("input") if source.format == "alpaca" else None

    def find(self, row: Row, origin: str) -> dict[str, str]:
        """Return a note with the first such text of a row; `origin` is the place of the row."""
        try:
            if _PLACEHOLDERS.isdisjoint(map(row.get, self.columns)):  # fast: most rows end here
                return {}
        except TypeError:  # a list or an object, as no cell of a table is
            return {}
        for column in self.columns:
            text = row.get(column)
            if text not in _PLACEHOLDERS or (column == self.input and find_absent_input(text)):
                continue
            if text in _MARKS or column == self.input or _is_in_table(origin):
                return {PLACEHOLDER: f"{column} is {text}"}
        return {}


class UnreadInputFinder:
    """Finds columns that belong to the question of a row, though the source does not read them."""

    def __init__(self, source: Source) -> None:
        """Collect such columns, none for formats without a question."""
        names = _BESIDE_QUESTION if source.format in _QUESTION_FORMATS else ()
        used = source.used_columns
        self.columns = tuple(name for name in names if name not in used)

    def find(self, row: Row, conversation: Conversation) -> dict[str, str]:
        """Return a note with the first such column that has a text which is in no turn."""
        for column in self.columns:
            text = row.get(column)
            if not isinstance(text, str) or not text.strip() or find_absent_input(text):
                continue
            if not any(text.strip() in turn["content"] for turn in conversation.messages):
                return {UNREAD_INPUT: f"{column} is {show_value(text, 40)}"}
        return {}


def find_absent_input(value: Any) -> dict[str, str]:
    """Return a note if an input only says that there is none."""
    if value and isinstance(value, str) and value.strip(_BRACKETS).casefold() in _ABSENT_INPUTS:
        return {ABSENT_INPUT: f"input is {value}"}
    return {}


def find_negative_margin(margin: float) -> dict[str, str]:
    """Return a note if the rejected answer of a preference has a higher score."""
    return {NEGATIVE_MARGIN: f"the margin is {margin:g}"} if margin < 0 else {}


def describe_note(kind: str, count: int, first: str) -> str:
    """Return the line about all rows of a source with one kind of note."""
    noun = "row has" if count == 1 else "rows have"
    return f"{count} {noun} {kind}: they {_DESCRIPTIONS[kind]} (first {first})"


def _is_in_table(origin: str) -> bool:
    return any(suffix in origin.lower() for suffix in _TABLES)
