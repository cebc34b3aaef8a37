"""Parts of a text that cleaning leaves unchanged, byte for byte, with their indentation.

These parts are protected, in this order:

- Fenced code: from three or more backticks or tildes at the begin of a line (which may be
  indented, quoted or an item of a list) to a line with as many of them, or to the end of the text.
  Three backticks within a line also open code if no others close them in the line.
- JSON: an object or an array that parses, and Python literals of the same shape.
- LaTeX: documents, and environments from `\\begin{…}` to `\\end{…}`.
- Inline code: between runs of equally many backticks within a paragraph, as in CommonMark.
- Code without fences (see code_detection) and formulas of LaTeX.
- URLs, e-mail addresses, paths of files, regular expressions and C++ types such as `vector<int>`.
- Markup: tags that are content, with all that stands between an opening tag and its closing tag,
  and escaped tags (`&lt;br&gt;`). `markup` says which tags are content.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from lockstep.data import embedded_json
from lockstep.data.cleaning import code_detection, markup
from lockstep.data.cleaning.code_detection import Span
from lockstep.data.cleaning.code_lines import may_have_code

_FIRST, _LAST = 0xF0000, 0xFFFFD
PLACEHOLDER = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
"""A private character that stands for a protected part."""

_WITHOUT_SIGN = re.compile(
    f"(?:[^`~{{\\[@\\\\/^$?{chr(_FIRST)}-{chr(_LAST)}]++|(?<=<)/|(?<!\\()\\?)*+"
)
"""Text without the signs of which every protected part has one, except code, markup and addresses
that begin with `www`. To match the whole text is faster than to search for a sign."""

_FENCE = re.compile(r"`+|(?:^|(?<=\n))[^\S\n]*~{3,}")
_LINE_PREFIX = re.compile(r"[^\S\n]*(?:>[^\S\n]*)*(?:(?:[-*+]|\d+[.)])[^\S\n]+)?")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")

_PYTHON_LITERAL = re.compile(
    r"\{\s*(?:'[^'\n]*'|\"[^\"\n]*\"|\d+)\s*:[^{}\n]*\}|\[\s*'[^'\n]*'(?:\s*,\s*'[^'\n]*')*\s*,?\s*\]"
)

_LATEX_BOUND = re.compile(r"\\(?:documentclass\b|(?P<bound>begin|end)\{(?P<name>\w+\*?)\})")
_LATEX = re.compile(
    r"\$\$.{1,1000}?\$\$|\\\[.{1,1000}?\\\]|\\\(.{1,500}?\\\)",
    re.DOTALL,
)
_P = f"{chr(_FIRST)}-{chr(_LAST)}"
_URL = re.compile(
    rf"(?<![A-Za-z0-9])(?:[A-Za-z][A-Za-z0-9+.-]{{1,20}}://|www\.)"
    rf"(?:[!#-;=?-~{_P}]|(?<=[/=_#-])[^\W\d_]|(?<=[^\x00-\x7f{_P}])[^\W\d_])+"
)
_EMAIL = re.compile(
    r"(?<![\w.%+-])(?:mailto:)?[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}", re.ASCII
)
_PATH = re.compile(
    rf"(?<![A-Za-z0-9_/.<\\{_P}])"
    r"(?:[A-Za-z]:\\|\\\\|~/|\.{1,2}/|/(?=[A-Za-z._])|(?<![^\s'\"])/(?![/\s]))"
    r"(?:[^\s<>|\"'，。；：！？、（）/\\]*[/\\])*[\w.~%+=@-]*"
)
_ENDS_SENTENCE = ".,;:!?)'\"*"

_REGEX_SIGN = re.compile(
    r"\(\?(?:[:=!>]|<[=!]|P<|[aimsux]+[:)])|\\[dwsbDWSB](?![A-Za-z])|\\[pP]\{|\[\^"
    r"|(?<!\S)/?\^(?=\S+\$/?[gimsuy]*(?!\S))"
)
"""Something that only regular expressions have."""
_WORD = re.compile(r"(?:\[\^?\]?(?:\\.|[^\]\\\n]){0,100}\]|[^\s，。；！？、“”])+")
"""Characters without a blank between them; brackets may hold blanks."""
_GENERIC = re.compile(
    rf"(?<![A-Za-z0-9_])[A-Za-z_][\w:]*<(?![/!?]|(?:{markup.FORMATTING_TAGS})[\s/>])"
    r"[^<>\n\"']{1,80}(?:<[^<>\n]{1,80}>[^<>\n]{0,80})?>"
)
"""A type with parameters; a formatting tag directly after a word is none."""
_GENERIC_BEGIN = re.compile(r"<(?<=[\w:]<)(?![/!?])")


@dataclass(slots=True)
class ProtectedText:
    """A text in which a placeholder stands for each protected part."""

    text: str
    """The original text."""
    prose: str
    """The text with placeholders."""
    parts: list[str] = field(default_factory=list)
    """The parts, in the order of their placeholders."""
    keeps_markup: bool = False
    """Whether a protected part is a tag."""

    def restore(self, prose: str) -> str:
        """Return the text with the protected parts in place of their placeholders."""
        if not self.parts:
            return prose
        return PLACEHOLDER.sub(lambda match: self.parts[ord(match.group()) - _FIRST], prose)

    def protect_placeholders(self) -> None:
        """Put a placeholder for each character of the text that would be taken for one."""
        numbers = count(_FIRST)
        self.parts = PLACEHOLDER.findall(self.text)
        self.prose = PLACEHOLDER.sub(lambda _: chr(next(numbers)), self.text)

    def protect(self, spans: Iterable[Span]) -> None:
        """Put a placeholder for each span of the prose; the spans are in order."""
        pieces: list[str] = []
        position = 0
        for begin, end in spans:
            if begin < position or begin == end:
                continue
            self.parts.append(self.restore(self.prose[begin:end]))
            pieces += [self.prose[position:begin], chr(_FIRST + len(self.parts) - 1)]
            position = end
        if pieces:
            self.prose = "".join([*pieces, self.prose[position:]])


def protect_text(text: str, *, strip_tags: bool) -> ProtectedText:
    """Return the text with its protected parts replaced by placeholders.

    `strip_tags` says that formatting tags are no content. Text with too many parts is protected
    as a whole.
    """
    protected = ProtectedText(text=text, prose=text)
    has_other = not _WITHOUT_SIGN.fullmatch(text) or "www" in text or may_have_code(text)
    has_markup = "<" in text or ("&" in text and (has_other or markup.has_escaped_tag(text)))
    if not (has_markup or has_other):
        return protected
    if len(text) > _LAST - _FIRST:
        protected.protect([(0, len(text))])
        return protected
    if has_other:
        protected.protect_placeholders()
        _protect_code(protected)
    if has_markup:
        _protect_markup(protected, strip_tags=strip_tags)
    return protected


def _protect_code(protected: ProtectedText) -> None:
    """Protect all parts but markup."""
    _apply_finders(protected, _FINDERS)
    if may_have_code(protected.prose):
        protected.protect(code_detection.find_code(protected.prose))
    _apply_finders(protected, _FINDERS_IN_PROSE)


def _protect_markup(protected: ProtectedText, *, strip_tags: bool) -> None:
    """Protect tags that are content, with what they enclose, and types with parameters."""
    tags = list(markup.find_kept_markup(protected.prose, strip_tags=strip_tags))
    protected.keeps_markup = bool(tags)
    protected.protect(tags)
    if _GENERIC_BEGIN.search(protected.prose):
        protected.protect(_list_matches(_GENERIC, protected.prose))


def _list_matches(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Yield the span of each match; a URL, an address or a path ends before the sentence's mark."""
    for match in pattern.finditer(text):
        length = len(match.group())
        if pattern in (_URL, _EMAIL, _PATH):
            length = len(_strip_sentence_end(match.group()))
        if length > 1:
            yield match.start(), match.start() + length


def _find_environments(text: str) -> Iterator[Span]:
    """Yield the spans of documents and environments of LaTeX, the outer ones first.

    A document begins with its class, and ends with the text if its end is missing.
    """
    spans: list[Span] = []
    open_names: list[tuple[str, int]] = []
    numbers: Counter[str] = Counter()
    for match in _LATEX_BOUND.finditer(text):
        name = match["name"] or "document"
        if match["bound"] == "end":
            while numbers[name]:
                other, begin = open_names.pop()
                numbers[other] -= 1
                if other == name:
                    spans.append((begin, match.end()))
                    break
        elif not (name == "document" and numbers[name]):
            open_names.append((name, match.start()))
            numbers[name] += 1
    spans += [(begin, len(text)) for name, begin in open_names if name == "document"]
    yield from sorted(spans, key=lambda span: (span[0], -span[1]))


def _find_regular_expressions(text: str) -> Iterator[Span]:
    """Yield the span of each word that has a sign of a regular expression."""
    for word in _WORD.finditer(text):
        if _REGEX_SIGN.search(word.group()):
            yield word.span()


def _strip_sentence_end(url: str) -> str:
    """Return the URL without the marks at its end that belong to the sentence."""
    while url and url[-1] in _ENDS_SENTENCE:
        if url[-1] == ")" and url.count("(") >= url.count(")"):
            break
        url = url[:-1]
    return url


def _find_backticks(text: str, *, fences: bool) -> Iterator[Span]:
    """Yield the span of each fenced block, or of each piece of inline code."""
    position = 0
    while match := _FENCE.search(text, position):
        run = match.group().strip()
        line = text.rfind("\n", 0, match.end()) + 1
        span = (
            _find_block(text, run, line, match.end())
            if len(run) >= 3
            else _find_inline(text, run, match)
        )
        if span is None:
            position = match.end()
            continue
        begin, end, is_block = span
        if is_block == fences:
            yield begin, end
        position = end


def _find_block(text: str, run: str, line: int, end: int) -> tuple[int, int, bool] | None:
    """Return the span of the code that a run of three or more marks opens, and if it is a block."""
    begin = end - len(run)
    line_end = text.find("\n", end)
    rest = text[end:] if line_end < 0 else text[end:line_end]
    starts_line = _LINE_PREFIX.fullmatch(text, line, begin) is not None
    closing = re.compile(rf"(?<!{run[0]}){run}(?!{run[0]})")
    if run[0] == "`" and (inline := closing.search(rest)):
        return begin, end + inline.end(), False
    if starts_line:
        fence = re.compile(rf"\n[^\S\n]*(?:>[^\S\n]*)*{run}{run[0]}*[^\S\n]*(?=\n|\Z)")
    elif line_end >= 0 or rest.strip():
        fence = re.compile(rf"{run}{run[0]}*")
    else:
        return None
    match = fence.search(text, end)
    return (line if starts_line else begin), match.end() if match else len(text), True


def _find_inline(text: str, run: str, match: re.Match[str]) -> tuple[int, int, bool] | None:
    """Return the span of the inline code that a run of one or two backticks opens."""
    paragraph = _BLANK_LINE.search(text, match.end())
    limit = paragraph.start() if paragraph else len(text)
    closing = re.compile(rf"(?<!`){run}(?!`)").search(text, match.end(), limit)
    return (match.start(), closing.end(), False) if closing else None


Finders = tuple[tuple[tuple[str, ...], Callable[[str], Iterator[Span]]], ...]
"""Functions that find parts of a kind, each with the signs of which such a part has one."""

_FINDERS: Finders = (
    (("```", "~~~"), partial(_find_backticks, fences=True)),
    (("{", "["), embedded_json.find_json),
    (("{", "['"), partial(_list_matches, _PYTHON_LITERAL)),
    (("\\begin", "\\documentclass"), _find_environments),
    (("`",), partial(_find_backticks, fences=False)),
)
"""Kinds of parts that may hold code of any language."""
_FINDERS_IN_PROSE: Finders = (
    (("$$", "\\"), partial(_list_matches, _LATEX)),
    (("://", "www."), partial(_list_matches, _URL)),
    (("@",), partial(_list_matches, _EMAIL)),
    (("/", "\\"), partial(_list_matches, _PATH)),
    (("(?", "\\", "[^", "^"), _find_regular_expressions),
)
"""Kinds of parts within lines of prose."""


def _apply_finders(protected: ProtectedText, finders: Finders) -> None:
    for signs, find_spans in finders:
        if any(map(protected.prose.__contains__, signs)):
            protected.protect(find_spans(protected.prose))
