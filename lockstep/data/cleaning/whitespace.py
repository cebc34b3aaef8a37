"""Cleaning steps `invisible` and `space`: line ends, invisible characters and blanks."""

import re

from lockstep.data.cleaning.protected_text import PLACEHOLDER
from lockstep.data.language import HAN, HANGUL, KANA

_JOINER_SCRIPTS = "\u0600-\u08ff\u0900-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff"
"""Scripts and symbols whose spelling needs zero-width joiners and non-joiners."""
_INVISIBLE = re.compile(
    f"(?<![{_JOINER_SCRIPTS}])[\u200c\u200d]|[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]"
)
_LINE_END = re.compile("[\x0b\x0c\x85\u2028\u2029]")
"""Form feed, vertical tab and the line ends of Unicode."""
_WITHOUT_OTHER_BLANKS = re.compile(r"[\S\n ]*+")
_BLANKS = re.compile(r"[^\S\n ][^\S\n]*| (?:[^\S\n]+|(?=\n|\Z)|(?<=\n.)|(?<=\A.))")
"""Blanks, except a single one between two words."""
_CJK = re.compile(f"[{HAN}{KANA}{HANGUL}]")
_TEXT_LINE = re.compile(rf"[^\S\n]*(?!{PLACEHOLDER.pattern}(?:\n|\Z))\S")
"""A line of text that is more than a protected part."""


def unify_line_ends(text: str) -> str:
    """End every line with a single newline."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def has_invisible(text: str) -> bool:
    """Whether the text has invisible characters, or line ends of Unicode."""
    return not text.isprintable() and bool(_INVISIBLE.search(text) or _LINE_END.search(text))


def remove_invisible(text: str) -> str:
    """Remove control and zero-width characters; end lines with a newline."""
    return _INVISIBLE.sub("", _LINE_END.sub("\n", text))


def is_untidy(text: str) -> bool:
    """Whether the text may have superfluous blanks."""
    if "  " in text or text.strip() != text:
        return True
    if text.isprintable():
        return False  # printable text has no other blanks and no line ends
    return " \n" in text or "\n " in text or not _WITHOUT_OTHER_BLANKS.fullmatch(text)


def collapse_space(text: str) -> str:
    """Collapse runs of blanks to one, and remove them at line ends and at both ends of the text.

    Line breaks stay, and so do

    - tabs between words, which separate the cells of a table,
    - the indentation of a line, unless a Chinese, Japanese or Korean character follows it: such an
      indentation only marks a paragraph. The first line keeps its own if others follow it;
    - two blanks at the end of a line, a line break in Markdown, if a line of text follows.
    """
    text = _BLANKS.sub(_replace_blanks, text.rstrip())
    first_line = text.lstrip("\n")
    return first_line if "\n" in first_line.strip() else first_line.lstrip()


def _replace_blanks(match: re.Match[str]) -> str:
    """Return the replacement of a run of blanks."""
    text, blanks, begin, end = match.string, match[0], match.start(), match.end()
    starts_line = begin == 0 or text[begin - 1] == "\n"
    if end == len(text) or text[end] == "\n":
        is_break = blanks == "  " and not starts_line and _continues(text, end + 1)
        return blanks if is_break else ""
    if not starts_line:
        return blanks if set(blanks) == {"\t"} else " "
    if _CJK.match(text, end) or (begin == 0 and blanks == " "):
        return ""
    return "".join(blank for blank in blanks if blank in " \t")


def _continues(text: str, begin: int) -> bool:
    """Whether a line of text begins there."""
    return _TEXT_LINE.match(text, begin) is not None
