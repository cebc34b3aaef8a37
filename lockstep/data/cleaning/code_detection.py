"""Code without fences: programs, SQL, YAML, tables and the indented code of Markdown.

`code_lines` and `structured_lines` say which lines are code. Besides them,

- SQL is code from SELECT … FROM, INSERT INTO, UPDATE … SET, DELETE FROM, CREATE, ALTER or DROP to
  the semicolon or the end of the paragraph: in capitals anywhere, in small letters if it begins a
  line and names columns or tables as SQL does;
- two or more lines that are all indented by four blanks or a tab are code, as in Markdown.

A text that is nothing but code stays as a whole, with the blanks around it.
"""

import re
from collections.abc import Iterator, Sequence

from lockstep.data.cleaning.code_lines import mark_code_lines
from lockstep.data.cleaning.structured_lines import find_structured_lines, list_runs

Span = tuple[int, int]
"""Begin and end of a part of a text."""

_QUOTE = r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"
_SQL_REST = rf"(?:{_QUOTE}|[^;。！？\n]|\n(?!\s*(?:\n|\Z)))*;?"
_SQL = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    rf"SELECT\b(?:{_QUOTE}|[^;。！？\n]|\n(?!\s*\n)){{0,2000}}?\bFROM\b|INSERT[ ]+INTO[ ]"
    r"|UPDATE[ ]+\S+[ \n]+SET\b|DELETE[ ]+FROM[ ]"
    r"|(?:CREATE|ALTER|DROP)[ ]+(?:TEMPORARY[ ]+|UNIQUE[ ]+|OR REPLACE[ ]+)?"
    r"(?:TABLE|INDEX|VIEW|DATABASE|SCHEMA|FUNCTION|PROCEDURE|TRIGGER|USER)\b)" + _SQL_REST
)
_SQL_COLUMN = r"(?:[\w.`\"]+(?:\([^()\n]*\))?(?: +as +\S+)?|\*)"
_SQL_IN_SMALL_LETTERS = re.compile(
    rf"^[ \t]*(?:select +(?:distinct +)?{_SQL_COLUMN}(?: *, *{_SQL_COLUMN})*\s+from\s+\S+"
    r"(?=\s*;|\s+(?:where|join|left|inner|order|group|limit)\b|\s*$)"
    r"|insert +into +\S+ *\(|update +\S+ +set +\S+ *=|delete +from +\S+ +where\b|"
    rf"(?:create|alter|drop) +table +(?:if +(?:not +)?exists +)?[\w.`\"]+ *[(;]){_SQL_REST}",
    re.IGNORECASE | re.MULTILINE,
)
_INDENTED = re.compile(r"(?:    |\t)\s*[!-~].*")


def find_code(text: str) -> list[Span]:
    """Return the spans of the code in a text, in order and without overlap."""
    lines = text.split("\n")
    code = mark_code_lines(lines)
    if len(lines) > 1:
        for begin, end in (*_find_indented(lines), *find_structured_lines(lines)):
            code[begin:end] = [True] * (end - begin)
    return _merge_spans([*_find_sql(text), *_list_spans(lines, code, len(text))])


def _find_sql(text: str) -> Iterator[Span]:
    for pattern in (_SQL, _SQL_IN_SMALL_LETTERS):
        for match in pattern.finditer(text):
            yield match.start(), match.start() + len(match.group().rstrip())


def _find_indented(lines: Sequence[str]) -> Iterator[Span]:
    """Yield the paragraphs of two or more lines that are all indented."""
    for begin, end in list_runs([bool(line.strip()) for line in lines]):
        if end - begin > 1 and all(map(_INDENTED.fullmatch, lines[begin:end])):
            yield begin, end


def _list_spans(lines: Sequence[str], code: list[bool], length: int) -> Iterator[Span]:
    """Yield the span of each code line; the span of a text that is all code is the text."""
    if not any(code):
        return
    if all(is_code or not line for line, is_code in zip(lines, code, strict=True)):
        yield 0, length
        return
    position = 0
    for line, is_code in zip(lines, code, strict=True):
        if is_code:
            yield position, position + len(line)
        position += len(line) + 1


def _merge_spans(spans: list[Span]) -> list[Span]:
    """Return the spans in order; spans that overlap or are consecutive lines become one."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
