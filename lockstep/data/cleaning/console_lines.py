"""Lines that a console shows: shell commands, logs and tracebacks.

A line is a shell command if it begins with a known one and has an option, a path, a quoted
argument, a variable or a known subcommand. It may be an item of a list or quoted (`> `). If the
command is an English word too, an item's mark or two plain words beside each other make the line
prose.

A line belongs to a log if it has

- a date and time, and then a fraction of a second, a zone or a level such as `ERROR`,
- a time and a level, or a level, and then a time or the name of a logger,
- a date, a host and a process, as syslog writes them,
- or the address and the date of an access to a web server.

The head of a traceback is one, and so is a line that begins with an exception (`ValueError: …`).
"""

import re

QUOTED_OR_COMMENT = re.compile(
    r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|(?:(?<=\s)|^)(?:#|//|--).*"""
)
_ENGLISH_COMMANDS = (
    "cat", "make", "find", "node", "export", "head", "tail", "sort", "touch", "kill", "source",
    "print", "puts", "java", "zip",
)  # fmt: skip
"""Commands that are English words too; they begin code only if no prose follows."""
COMMAND = (
    f"{'|'.join(_ENGLISH_COMMANDS)}"
    "|git|pip3?|npm|npx|yarn|pnpm|docker|kubectl|curl|wget|apt(?:-get)?|cd|ls|mkdir|rm|cp|mv|echo"
    "|printf|grep|sed|awk|chmod|chown|python3?|cargo|conda|ssh|scp|rsync|tar|unzip|ffmpeg|bash|sh"
    "|systemctl|gcc|javac|psql|mysql|sqlite3|xargs|uvicorn|pytest|Write-(?:Host|Output)"
)
_PLAIN_WORDS = re.compile(r"(?<!\S)[A-Za-z]{2,} [A-Za-z]{2,}(?!\S)")
ITEM = r"(?:[-*>]|\d+[.)])[ ]+"
"""The mark of a list's item or of a quotation."""
_INDENTED_ITEM = re.compile(f"[ \t]*{ITEM}")
_QUOTED = r"""(?:(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[!#-&(-~]*|\$[!-~]+)"""
_UNQUOTED = "[!#%&(-~][!-~]*"
_SHELL = re.compile(
    rf"""[ \t]*(?:sudo[ ]+)?(?:
    (?:{COMMAND})[ ]+(?:{_UNQUOTED}[ ]+)*{_QUOTED}(?:[ ]+(?:{_QUOTED}|{_UNQUOTED}))*[ ]*
    | (?:{COMMAND})[ ]+(?:.*[ ])?
        (?:--?[A-Za-z][\w-]*|[|>&]{{1,2}}[ ]\S.*|[\w.~-]*/\S*|[A-Z_]+=\S*)(?:[ =].*)?
    | (?:git[ ]+(?:clone|commit|push|pull|add|checkout|status|log|diff)|pip3?[ ]+install
        |npm[ ]+(?:install|run)|docker[ ]+(?:run|build|pull)|conda[ ]+install
        |apt(?:-get)?[ ]+install)\b.*
    )""",
    re.ASCII | re.VERBOSE,
)
_LEVEL = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRITICAL|SEVERE"
_TIME = r"\d\d?:\d\d:\d\d"
_LOG = re.compile(
    rf"""[ \t]*(?:
    [\[(]?(?:\d{{4}}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?(?:[-/.]\d{{2,4}})?)[T ]{_TIME}
        (?:(?:[.,]\d+|[ ]?[+-]\d\d:?\d\d|Z)\b.* | .{{0,60}}?\b(?i:{_LEVEL})\b.*)
    | [\[(]?{_TIME}(?:[.,]\d+)?[\])]?[ ].{{0,40}}?\b(?:{_LEVEL})\b.*
    | [A-Z][a-z]{{2}}[ ]+\d\d?[ ]{_TIME}[ ][\w.-]+[ ][\w./()-]+(?:\[\d+\])?:.*
    | \[?(?:{_LEVEL})\]?[ :][ ]*[\[(]?(?:\d{{4}}-\d\d-\d\d|{_TIME}|[\w.]+[.:]\w+[\]:])\S*[ ].*
    | (?:\d{{1,3}}\.){{3}}\d{{1,3}}[ ].*\[\d\d?/[A-Z].*
    | Traceback[ ]\(most[ ]recent[ ]call[ ]last\):
    | (?:Caused[ ]by:[ ])?[A-Za-z_$][\w.$]*(?:Error|Exception)(?::[ ].*)?
    )[ \t]*""",
    re.ASCII | re.VERBOSE,
)
LOG_BEGIN = (
    rf"[\[(]?\d{{1,4}}[-/.:]\d|[A-Z][a-z]{{2}}[ ]+\d|\[?(?:{_LEVEL})\b|[\w.$]+(?:Error|Exception)\b"
    "|Caused by:"
)


def is_command(line: str) -> bool:
    """Whether a line is a shell command; prose may begin with a command that is an English word."""
    item = _INDENTED_ITEM.match(line)
    match = _SHELL.fullmatch(line, item.end() if item else 0)
    if not match:
        return False
    command, arguments = match.group().split(None, 1)
    if command not in _ENGLISH_COMMANDS:
        return True
    return not item and not _PLAIN_WORDS.search(QUOTED_OR_COMMENT.sub("", arguments))


def is_log_line(line: str) -> bool:
    """Whether a line belongs to a log or a traceback."""
    return _LOG.fullmatch(line) is not None
