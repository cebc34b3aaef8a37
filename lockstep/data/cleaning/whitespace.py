"""Cleaning steps `invisible` and `space`: line ends, invisible characters and blanks."""

import re

from lockstep.data.cleaning.protected_text import PLACEHOLDER
from lockstep.data.language import HAN, HANGUL, KANA

_JOINED_LETTERS = (
    "\u0590-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u1c4f\ua840-\ua87f\ua8e0-\ua9df\uaa60-\uaa7f"
    "\ufb1d-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
"""Scripts whose spelling needs zero-width joiners and non-joiners: Arabic, Hebrew, Syriac,
Mongolian and those of India and South-East Asia."""
_JOINED_SYMBOLS = (
    "\u203c\u2049\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u27bf\u2900-\u2bff\u3030\u303d\ufe0f"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
"""Symbols and emoji, which zero-width joiners join."""
_UNSPACED_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uaa60-\uaa7f"
"""Thai, Lao, Burmese and Khmer, in which a zero-width space divides words."""
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e]+")
_JOINER = re.compile(
    f"[\u200c\u200d](?<![{_JOINED_LETTERS}].)(?![{_JOINED_LETTERS}])"
    f"(?:(?<![{_JOINED_SYMBOLS}].)|(?![{_JOINED_SYMBOLS}]))"
    f"|\u200b(?:(?<![{_UNSPACED_LETTERS}].)|(?![{_UNSPACED_LETTERS}]))"
)
"""Joiners and zero-width spaces that stand where no script needs them."""
_CONTROL = re.compile("[\u2060-\u2064\ufeff\u00ad\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]+")
_WITHOUT_INVISIBLE = re.compile(
    "[^\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*+"
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
    return not text.isprintable() and not _WITHOUT_INVISIBLE.fullmatch(text)


def remove_invisible(text: str) -> str:
    """Remove control and zero-width characters; end lines with a newline.

    Those that carry a meaning stay:

    - zero-width joiners and non-joiners beside a letter of a script that needs them, and between
      two symbols, such as those of an emoji,
    - zero-width spaces between letters of Thai, Lao, Burmese and Khmer,
    - marks of direction in lines with a letter that is written from right to left.
    """
    text = _CONTROL.sub("", _LINE_END.sub("\n", text))
    if _DIRECTION.search(text):
        text = "\n".join(map(_remove_direction, text.split("\n")))
    return _JOINER.sub("", text)


def _remove_direction(line: str) -> str:
    """Remove the marks of direction from a line that is written from left to right."""
    return line if _RIGHT_TO_LEFT.search(line) else _DIRECTION.sub("", line)


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
