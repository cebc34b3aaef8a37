"""Lines of YAML, of tables and of drawings, found by what consecutive lines have in common.

- YAML: two or more consecutive lines `key: value`, with nested lists. The values are no sentences,
  some key is no speaker (`User:`, `Q:`), and some key begins no item of a list.
- Tables: two or more consecutive lines with the same number of commas, semicolons or tabs, none of
  them followed by a blank, in short cells that are no sentences. A table of two columns has a
  number or only words of up to four characters.
- Tables of Markdown: two or more lines with `|`, all of which begin and end with it, or one of
  which is the rule below a header, or a rule `+---+` of a table of text.
- Assembler: lines of instructions, labels and directives, with two instructions or more, of which
  one has a comma and one a register or an address.
- Drawings: lines with the signs of boxes and trees (`│`, `├`, `└`).
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

SENTENCE_MARKS = "。！？；：，、"
"""Full-width punctuation, which occurs in prose only."""

_YAML_KEY = re.compile(
    r"[ \t]*(?P<dash>- +)*(?:\"[^\"\n]+\"|'[^'\n]+'|(?P<key>\w[\w./-]*(?: [\w./-]+){0,2})):"
    r"(?:[ \t]+(?P<value>\S.*)|[ \t]*)"
)
_YAML_OTHER = re.compile(r"[ \t]*-[ ]+\S.*|[ \t]*#.*|---")
_SPEAKERS = frozenset(
    (
        "q", "a", "question", "answer", "user", "assistant", "human", "bot", "system", "customer",
        "agent", "ai", "问", "答", "问题", "答案", "回答", "用户", "客服", "顾客", "助手",
        "患者", "医生",
    )
)  # fmt: skip
_SENTENCE_END = re.compile(rf"[.?!;,{SENTENCE_MARKS}…]\s*$")
_MAX_VALUE_WORDS = 8
_MAX_VALUE_CHARACTERS = 60

_QUOTED = re.compile(r'"[^"\n]*"')
_DELIMITERS = {",": re.compile(r",[ \t]"), ";": re.compile(r";[ \t]"), "\t": re.compile(r"\t ")}
"""Delimiters of cells, each with what shows that it is none."""
_NUMBER_CELL = re.compile(r"[-+]?[\d.:/%-]*")
_MAX_CELL_CHARACTERS = 40
_MAX_WORD_CHARACTERS = 4
_MARKDOWN_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*")
_MARKDOWN_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*")
_TEXT_RULE = re.compile(r"[ \t]*\+(?:[-=]+[+ ]+)*[-=]{2,}\+[ \t]*")
_DRAWING = re.compile(r"[│┃├┝┠┣└┕┖┗┌┏┐┓┘┛┤┫┬┳┴┻┼╋║╔╗╚╝╠╣╦╩╬]")

_VALUE = (
    r"(?:\w+[ ](?i:ptr)[ ])?(?:[-+$%#=*]{0,2}[\w.@]*"
    r"(?:\([^()\n]*\)|\[[^\[\]\n]*\]|\{[^{}\n]*\})?!?|\"[^\"\n]*\"|'[^'\n]*')"
)
_OPERAND = rf"{_VALUE}(?:[ ][-+*/][ ]{_VALUE})*"
_LABEL = r"(?:[\w.$@]+:|[A-Za-z_.]\w*[ \t]++(?=(?:d[bwdq]|res[bwdq]|equ)\b))"
_ASSEMBLER = re.compile(
    rf"""[ \t]*+(?:
    {_LABEL}?[ \t]*+(?:[A-Za-z][\w.]{{0,9}}(?:[ \t]++{_OPERAND}(?:[ \t]*+,[ \t]*+{_OPERAND})*)?)?
    | \.[a-z_]\w*(?:[ \t]++\S.*)?
    | (?i:section|segment|global|extern|bits|org)[ \t]++[\w.:$]+
    )[ \t]*+(?:(?:;|\#|//|@)[ \t]*+\S.*)?""",
    re.ASCII | re.VERBOSE,
)
_INSTRUCTION = re.compile(
    rf"""[ \t]*+{_LABEL}?[ \t]*+(?i:
    mov\w*|add[silqu]?|addi[uw]|subs?|sub[ilq]|i?mul[lq]?|i?div[lq]?|inc|dec|push[lq]?|pop[lq]?
    |callq?|retq?|jmp|jn?[aegblz]e?|cmp[lqi]?|test[lq]?|lea[lq]?|xor[lq]?|and[ilq]?|orr?[ilq]?|not
    |neg|sh[lr]|sa[lr]|nop|int|syscall|hlt|ldr[bh]?|str[bh]?|ldm\w*|stm\w*|ld[pb]?|st[pb]?|bl?x?
    |b\.?(?:eq|ne|lt|gt|le|ge)z?|[ls][wdbh]u?|l[ia]|jalr?|db|dw|dd|dq|ecall|svc
    )(?:[ \t].*)?""",
    re.ASCII | re.VERBOSE,
)
_REGISTER = re.compile(
    r"%\w+|\b(?:[re]?[abcd]x|[abcd][lh]|[re]?[sd]i|[re]?[sb]p|[rxwtsav]\d+[dwb]?|sp|lr|pc|zero|xmm\d+)\b"
    r"|\$\w+|\#-?\d+|\b0x[0-9a-f]+|\[\w",
    re.ASCII | re.IGNORECASE,
)

Run = tuple[int, int]
"""First line of a run of lines, and the line after its last."""


def find_structured_lines(lines: Sequence[str]) -> Iterator[Run]:
    """Yield the runs of lines that are YAML, a table or a drawing."""
    yield from _find_runs(lines, _is_yaml_line, _is_yaml)
    yield from _find_runs(lines, _is_table_line, _is_markdown_table)
    yield from _find_runs(lines, _is_assembler_line, _is_assembler)
    yield from list_runs([_DRAWING.search(line) is not None for line in lines])
    for delimiter in _DELIMITERS:
        yield from _find_tables(lines, delimiter)


def list_runs(is_member: Sequence[int | bool]) -> Iterator[Run]:
    """Yield the runs of equal values that are not zero."""
    begin = 0
    for value, group in groupby(is_member):
        end = begin + len(list(group))
        if value:
            yield begin, end
        begin = end


def _find_runs(
    lines: Sequence[str],
    is_member: Callable[[str], bool],
    is_structured: Callable[[Sequence[str]], bool],
) -> Iterator[Run]:
    """Yield the runs of two or more member lines that are structured together."""
    for begin, end in list_runs([is_member(line) for line in lines]):
        if end - begin > 1 and is_structured(lines[begin:end]):
            yield begin, end


def _is_yaml_line(line: str) -> bool:
    match = _YAML_KEY.fullmatch(line)
    if not match:
        return _YAML_OTHER.fullmatch(line) is not None
    value = match["value"] or ""
    if value[:1] in ("'", '"', "[", "{", "|", ">"):
        return True
    is_short = len(value) <= _MAX_VALUE_CHARACTERS and len(value.split()) <= _MAX_VALUE_WORDS
    return is_short and not _SENTENCE_END.search(value)


def _is_yaml(lines: Sequence[str]) -> bool:
    keys = [match for line in lines if (match := _YAML_KEY.fullmatch(line))]
    return (
        len(keys) > 1
        and any((match["key"] or "").lower() not in _SPEAKERS for match in keys)
        and not all(match["dash"] for match in keys)
    )


def _is_assembler_line(line: str) -> bool:
    return _ASSEMBLER.fullmatch(line) is not None


def _is_assembler(lines: Sequence[str]) -> bool:
    instructions = [line for line in lines if _INSTRUCTION.fullmatch(line)]
    return (
        len(instructions) > 1
        and any("," in line for line in instructions)
        and any(map(_REGISTER.search, instructions))
    )


def _is_table_line(line: str) -> bool:
    return "|" in line or ("+" in line and _TEXT_RULE.fullmatch(line) is not None)


def _is_markdown_table(rows: Sequence[str]) -> bool:
    return (
        any(map(_MARKDOWN_RULE.fullmatch, rows))
        or any(map(_TEXT_RULE.fullmatch, rows))
        or all(map(_MARKDOWN_ROW.fullmatch, rows))
    )


def _find_tables(lines: Sequence[str], delimiter: str) -> Iterator[Run]:
    numbers = [_count_cells(line, delimiter) for line in lines]
    for begin, end in list_runs(numbers):
        rows = lines[begin:end]
        if len(rows) > 1 and (
            numbers[begin] > 2 or delimiter == "\t" or _has_short_cells(rows, delimiter)
        ):
            yield begin, end


def _count_cells(line: str, delimiter: str) -> int:
    """Return the number of cells of a line; 0 if it is prose or has no delimiter."""
    if delimiter not in line or _DELIMITERS[delimiter].search(_QUOTED.sub("", line)):
        return 0
    end = _SENTENCE_END.search(line)
    if end and (end.group() != delimiter or line.count(delimiter) < 2):
        return 0
    try:
        (cells,) = csv.reader([line], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        return 0
    is_long = delimiter != "\t" and any(len(cell) > _MAX_CELL_CHARACTERS for cell in cells)
    return 0 if is_long else len(cells)


def _has_short_cells(rows: Sequence[str], delimiter: str) -> bool:
    """Whether a cell is a number, or all are short words."""
    cells = [cell for row in rows for cell in row.split(delimiter)]
    return any(map(_NUMBER_CELL.fullmatch, cells)) or all(
        len(cell) <= _MAX_WORD_CHARACTERS for cell in cells
    )
