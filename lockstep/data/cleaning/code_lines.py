"""Lines of programs, shell commands and configuration files, found by the form of each line.

A line is code if it is

- a definition (`def f(x):`, `class A:`, `function f(`), an import, a decorator or a preprocessor's
  line, or the assignment of something that is not prose,
- a call that fills the line, or a line that ends in an opening bracket,
- a statement that ends in `;` and has a sign that prose has not (`f(`, `==`, `->`, `::`),
- `if …:`, `for …:` or the like, if the next line is indented more,
- an indented `return`, `pass` or the like,
- a shell command, or a line of a log or a traceback (see console_lines),
- the declaration of a variable in C (`unsigned int n;`), or the begin of a `/* … */`,
- the target of a Makefile, if the next line begins with a tab.

Two plain words beside each other, or Chinese outside of quotes, make a line prose. Indented lines,
closing brackets, comments and empty lines continue code, and so do all lines up to the bracket
that closes a `{`, and up to the `*/` of a `/*`. A prompt (`>>>`, `$`), the head of a patch (`@@`)
and a `[section]` with a key below it make the rest of their paragraph code.
"""

import re
from collections.abc import Sequence

from lockstep.data.cleaning.console_lines import (
    COMMAND,
    ITEM,
    LOG_BEGIN,
    QUOTED_OR_COMMENT,
    is_command,
    is_log_line,
)
from lockstep.data.cleaning.structured_lines import SENTENCE_MARKS
from lockstep.data.language import HAN, HANGUL, KANA

_KEYWORD = (
    "and|as|async|await|case|const|elif|else|except|for|if|in|is|lambda|match|new|not|of|or|return|"
    "typeof|while|with|yield"
)
_TWO_WORDS = re.compile(
    rf"\b(?!(?:{_KEYWORD})\b)[A-Za-z]{{2,}} (?!(?:{_KEYWORD})\b)[A-Za-z]{{2,}}\b|[{SENTENCE_MARKS}]"
)
_PROSE = re.compile(f"{_TWO_WORDS.pattern}|[{HAN}{KANA}{HANGUL}]")
"""A sign of prose: two words beside each other that are no keywords, or Chinese."""

_DEFINITION = re.compile(
    r"""[ \t]*(?:
    (?:async[ ]+)?def[ ]+\w+[ ]*\(.*
    | class[ ]+\w+[ ]*(?:\(.*\))?[ ]*[:{].*
    | (?:export[ ]+)?(?:default[ ]+)?(?:async[ ]+)?function\b[ *]*\w*[ ]*\(.*
    | (?:fn|func)[ ]+\w+[ ]*[(<].*
    | (?:public|private|protected)[ ]+(?:static|final|abstract|class|void|int|String|interface|enum
        |async|override)\b.*
    | import[ ]+(?:[\w.]+(?:[ ]+as[ ]+\w+)?(?:[ ]*,[ ]*\w[\w.]*)*|(?:.+[ ]from[ ]+)?["'].*["']);?
    | from[ ]+[\w.]+[ ]+import[ ]+\S.*
    | @[A-Za-z_][\w.]*(?:\(.*\))?
    | template[ ]*<.*
    | \#(?:include|define|ifdef|ifndef|endif|pragma)\b.* | <\?php.*
    | using[ ]+namespace[ ].*
    | \\(?:begin|end|documentclass|usepackage|section)\{.*
    | (?:if|elif|for|while)\b.*;[ ]*(?:then|do)
    | (?:let|const|var|val)[ ]+\w+[ ]*(?::[ ]*[\w<>\[\]]+[ ]*)?=(?!=).*
    | [A-Z][A-Z0-9_]{2,}=\S*
    | FROM[ ][\w./:-]+(?:[ ]AS[ ]\w+)?
    )[ \t]*""",
    re.VERBOSE,
)
_TYPE = (
    "static|const|extern|volatile|unsigned|signed|struct|enum|int|char|float|double|bool|long|short"
    r"|size_t|u?int\d+_t|String"
)
_DECLARATION = re.compile(
    rf"[ \t]*(?:{_TYPE})(?:[ ]+(?:{_TYPE}))*(?:(?<=struct)[ ]+\w+|(?<=enum)[ ]+\w+)?"
    r"[ *&]+\w+(?:\[\w*\])*(?:[ ]*,[ ]*\*?\w+(?:\[\w*\])*)*[ ]*;[ \t]*(?:(?://|/\*).*)?",
    re.ASCII,
)
_COMMENT_BEGIN = re.compile(r"[ \t]*/\*")
_LINE_COMMENT = re.compile(r"[ \t]*//.*")
_STATEMENT_END = re.compile(r"[;{][ \t]*(?://.*|/\*.*\*/[ \t]*)?$")
_STATEMENT_SIGN = re.compile(
    r"\w\(|[=!<>]=|&&|\|\||->|=>|::|\+\+|[\w\])] ?[-+*/]?= |\b(?:if|for|while|switch|catch) ?\(|"
    r"^[ \t]*(?:return|break|continue|throw|delete|typedef|package|using)\b",
    re.ASCII,
)
_OPENING_LINE = re.compile(r"[ \t}]*[\w.#:>\-\[\]=\"'~+*, ()<>&@$%]+[{(\[][ \t]*", re.ASCII)
_CALL = re.compile(
    r"[ \t]*(?:(?:await|print|throw|raise|yield|return|new) ){0,2}"
    r"[A-Za-z_$][\w$.]*\(.*\)[;,]?[ \t]*(?:[#/].*)?",
    re.ASCII,
)
_ASSIGNMENT = re.compile(
    r"""[ \t]*
    (?:(?:const|let|var|val|final|static|export|local|my|auto|int|float|double|bool|string)[ ]+)*
    [A-Za-z_$][\w$.]*(?:\[[^\]\n]*\])*(?:[ ]*,[ ]*[A-Za-z_]\w*)*(?:[ ]?:[ ]?[\w\[\],[ ].|]+)?
    [ ]*(?:[-+*/%|&^:]|\*\*|//|<<|>>|\?\?)?(?:=(?![=~>])|<-[ ])[ ]*(?P<value>\S.*)""",
    re.ASCII | re.VERBOSE,
)
_INDENTED_STATEMENT = re.compile(
    r"[ \t]+(?:return|yield|raise|pass|break|continue|assert|del|global|throw|await)\b[^.?!]*"
)
_HEADER = re.compile(
    r"[ \t]*(?:if|elif|else|while|for|with|match|case|try|except|finally)\b.*:[ \t]*(?:#.*)?"
)
_MAKE_TARGET = re.compile(r"[\w./%$()-]+(?: [\w./%$()-]+)*:(?![:/=])[^=\n]*")
_PARAGRAPH = re.compile(
    r"[ \t]*(?:(?:\$|>>>|PS [^>\n]*>)[ ]+[A-Za-z_].*|@@ -\d.*|diff --git .*|#!/.*)"
)
_PATCH_HEAD = re.compile(r"(?:---|\+\+\+) \S+")
_SECTION = re.compile(r"[ \t]*\[[\w .:-]+\][ \t]*")
_KEY = re.compile(r"[ \t]*[\w.-]+[ \t]*=.*")

_CONTINUATION = re.compile(
    r"""[ \t]+\S.* | [ \t]*(?:
    [)\]}]+[;,]? | (?://|/\*|\#(?![#!])).* | (?:\#\#+|\*/?|--)(?:\s.*)?
    | (?:else|try|finally|except\b.*): | \}?[ ]*else\b.*\{
    | (?:end|fi|done|esac);? | (?:return|yield|raise|pass)\b[^.?!]*
    | (?:RUN|COPY|ADD|ENV|ARG|CMD|ENTRYPOINT|WORKDIR|EXPOSE|USER|VOLUME)[ ].*
    )[ \t]*""",
    re.VERBOSE,
)

_SIGNS = r"=(){}\[\]@$#\\|\t\u2500-\u257f"
_WITHOUT_SIGN = re.compile(f"[^{_SIGNS}]*+")
_SIGNS_WITHIN = (
    "FROM", "INTO", "SET", "CREATE", "ALTER", "DROP", "<-", "->", "::", "++", "&&", "/*",
)  # fmt: skip
_PLAIN = re.compile(
    rf"(?:[^{_SIGNS}A-Z<>:+&/]++|[A-Z](?![A-Z])|<(?!-)|(?<!-)>|:(?!:)|\+(?!\+)|&(?!&)|/(?!\*))*+"
)
"""Text without any of the signs above; a match is faster than a search for each of them."""
_LINE_BEGIN = (
    rf"(?:{LOG_BEGIN}|(?:{COMMAND}|sudo|class|fn|func|public|private|protected|import|from|template|using"
    r"|return|yield|raise|pass|break|continue|assert|del|global|throw|await|diff|PS"
    r"|typedef|package|(?i:select|delete|create|alter|drop))\b|(?:if|elif|for|while)\b.*;"
    rf"|(?:{_TYPE})\b[^;\n]*;|>>>|---[ ]|\+\+\+[ ]|<\?php|//)"
)
"""Words and marks that begin a line of code which may have no other sign."""
_FIRST_LINE_BEGIN = re.compile(rf"[ \t\n]*+(?:{ITEM})?{_LINE_BEGIN}", re.ASCII)
_NEXT_LINE_BEGIN = re.compile(rf"\n[ \t]*+(?:{ITEM})?{_LINE_BEGIN}", re.ASCII)
_LINES_WITHOUT_SIGN = re.compile(r"[^:,;+]*+")
"""Signs of which several lines of code have one."""
_MAX_BLOCK_LINES = 500
"""Maximum number of lines in braces, or of a comment."""
_COMMENT = re.compile(r"[ \t]*(?:#|//|/\*|\*|--)[^#].*")


def may_have_code(text: str) -> bool:
    """Whether the text has a sign of code; without one, it has no code, neither SQL nor tables.

    Most prose of one line has none.
    """
    if not _PLAIN.fullmatch(text) and (
        not _WITHOUT_SIGN.fullmatch(text) or any(map(text.__contains__, _SIGNS_WITHIN))
    ):
        return True
    return _FIRST_LINE_BEGIN.match(text) is not None or (
        "\n" in text.strip("\n \t") and _may_have_code_lines(text)
    )


def _may_have_code_lines(text: str) -> bool:
    return (
        not _LINES_WITHOUT_SIGN.fullmatch(text)
        or "\n " in text
        or _NEXT_LINE_BEGIN.search(text) is not None
    )


def mark_code_lines(lines: Sequence[str]) -> list[bool]:
    """Return for each line whether it is code."""
    code = [_is_code(lines, index) for index in range(len(lines))]
    index = 0
    while index < len(lines):
        if code[index]:
            _mark_comments_above(lines, code, index)
            index = _mark_continuation(lines, code, index)
        index += 1
    return code


def _is_code(lines: Sequence[str], index: int) -> bool:
    """Whether a line is code by itself or by the line below it."""
    line = lines[index]
    if not line.strip():
        return False
    if _DEFINITION.fullmatch(line) or is_command(line):
        return line.rstrip()[-1] not in f".?!{SENTENCE_MARKS}"
    if is_log_line(line) or _DECLARATION.fullmatch(line) or _LINE_COMMENT.fullmatch(line):
        return True
    if _COMMENT_BEGIN.match(line):
        return any("*/" in other for other in lines[index : index + _MAX_BLOCK_LINES])
    if _STATEMENT_END.search(line) and _STATEMENT_SIGN.search(line):
        return True
    if _OPENING_LINE.fullmatch(line) or _CALL.fullmatch(line):
        return not _has_prose(line.partition("(")[0])
    if assignment := _ASSIGNMENT.fullmatch(line):
        return not _has_prose(assignment["value"])
    if _INDENTED_STATEMENT.fullmatch(line):
        return not _has_prose(line, _TWO_WORDS)
    return (
        _PARAGRAPH.fullmatch(line) is not None
        or _PATCH_HEAD.fullmatch(line) is not None
        or _is_head(lines, index)
    )


def _is_head(lines: Sequence[str], index: int) -> bool:
    """Whether a line is the head of the line below it."""
    line = lines[index]
    below = next((other for other in lines[index + 1 : index + 4] if other.strip()), "")
    if _HEADER.fullmatch(line) and not _has_prose(line, _TWO_WORDS):
        return _measure_indentation(below) > _measure_indentation(line)
    if _MAKE_TARGET.fullmatch(line):
        return below.startswith("\t")
    return _is_section(line, below)


def _is_section(line: str, below: str) -> bool:
    return _SECTION.fullmatch(line) is not None and _KEY.fullmatch(below) is not None


def _has_prose(code: str, sign: re.Pattern[str] = _PROSE) -> bool:
    """Whether there is a sign of prose outside of quotes and comments."""
    return sign.search(QUOTED_OR_COMMENT.sub("", code)) is not None


def _measure_indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _mark_comments_above(lines: Sequence[str], code: list[bool], index: int) -> None:
    above = index - 1
    while above >= 0 and not code[above] and _COMMENT.fullmatch(lines[above]):
        code[above] = True
        above -= 1


def _mark_continuation(lines: Sequence[str], code: list[bool], index: int) -> int:
    """Mark the lines that continue the code line at `index`; return the last one."""
    last = _find_last_line(lines, index)
    for following in range(last + 1, len(lines)):
        if code[following] or _CONTINUATION.fullmatch(lines[following]):
            last = _find_last_line(lines, following) if code[following] else following
        elif lines[following].strip() and following > last:
            break
    code[index : last + 1] = [True] * (last + 1 - index)
    return last


def _find_last_line(lines: Sequence[str], index: int) -> int:
    """Return the last line of what a line opens: a paragraph, or a block in braces."""
    line, below = lines[index], lines[index + 1] if index + 1 < len(lines) else ""
    if _PARAGRAPH.fullmatch(line) or _is_section(line, below):
        return next((i for i in range(index, len(lines)) if not lines[i].strip()), len(lines)) - 1
    if "/*" in line and "*/" not in line.partition("/*")[2]:
        ends = (
            i for i in range(index, min(index + _MAX_BLOCK_LINES, len(lines))) if "*/" in lines[i]
        )
        return next(ends, index)
    if not line.rstrip().endswith("{"):
        return index
    depth = 0
    for number in range(index, min(index + _MAX_BLOCK_LINES, len(lines))):
        depth += lines[number].count("{") - lines[number].count("}")
        if depth <= 0:
            return number
    return index
