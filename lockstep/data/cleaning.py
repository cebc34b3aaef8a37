"""Text cleaning in named steps that are safe for Chinese text."""

import html
import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import ftfy
from pydantic import AfterValidator

from lockstep.data import personal_data


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A regular expression."""

Step = Literal[
    "encoding",
    "unicode",
    "invisible",
    "html",
    "width",
    "punctuation",
    "boilerplate",
    "personal_data",
    "space",
]
"""Name of a cleaning step."""

_JOINER_SCRIPTS = "\u0600-\u08ff\u0900-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff"
"""Scripts and symbols whose spelling needs zero-width joiners and non-joiners."""
_INVISIBLE = re.compile(
    f"(?<![{_JOINER_SCRIPTS}])[\u200c\u200d]|[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_CHINESE_CHARACTER = "[\u3400-\u4dbf\u4e00-\u9fff]"
_CHINESE = re.compile(_CHINESE_CHARACTER)
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code).isalnum()}
_WIDE_ALPHANUMERIC = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_WIDE_TO_NARROW = dict(zip("，。！？；：（）％．", ",.!?;:()%.", strict=True))
_WIDE_PUNCTUATION = re.compile(f"[{''.join(_WIDE_TO_NARROW)}]")
_NARROW_TO_WIDE = {narrow: wide for wide, narrow in _WIDE_TO_NARROW.items() if narrow in ",!?;:"}
_BESIDE_CHINESE = re.compile(rf"(?<={_CHINESE_CHARACTER})[,!?;:]|[,!?;:](?={_CHINESE_CHARACTER})")
_NARROW_PUNCTUATION = re.compile("[,!?;:]")
_MOJIBAKE = re.compile("[\u0080-\u2e7f\ue000-\uf8ff\ufb00-\ufb06\ufffd]")
"""Characters that occur in wrongly decoded text. ftfy changes no text without one of them, so this
quick check saves most Chinese text the slow repair."""
_CODE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
_CODE_OR_BLANKS = re.compile(rf"{_CODE.pattern}|[^\S\n]+", re.DOTALL)
_UNTIDY = re.compile(r"[^\S\n]{2}|[^\S\n ]|(?:^|\n)[^\S\n]|[^\S\n](?:\n|$)|^\s|\s$")

_TAGS = (
    "a|abbr|b|big|blockquote|body|br|center|cite|code|dd|div|dl|dt|em|font|h[1-6]|head|hr|html|i|"
    "img|kbd|label|li|ol|p|pre|q|s|small|span|strike|strong|sub|sup|table|tbody|td|th|thead|title|"
    "tr|u|ul"
)
_HTML_HIDDEN = re.compile(
    r"<(script|style)\b[^<>]*>.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE
)
_HTML_BREAK = re.compile(r"<(?:br|hr)\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
_HTML_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s+[\w-]+\s*=[^<>]*)?\s*/?>", re.IGNORECASE)


def _repair_encoding(text: str) -> str:
    """Repair text that was decoded with a wrong encoding ("schÃ¶n", "â€™"), using ftfy."""
    if text.isascii() or not _MOJIBAKE.search(text):
        return text
    return ftfy.fix_encoding(text)


def _compose_characters(text: str) -> str:
    """Compose characters (Unicode normalization form NFC)."""
    return unicodedata.normalize("NFC", text)


def _remove_invisible(text: str) -> str:
    """Remove control and zero-width characters; end every line with a single newline."""
    if text.isprintable():
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", text)


def _remove_html(text: str) -> str:
    """Remove HTML tags and comments; replace entities by their characters."""
    if "<" in text:
        text = _HTML_TAG.sub("", _HTML_BREAK.sub("\n", _HTML_HIDDEN.sub("", text)))
    return html.unescape(text) if "&" in text else text


def _narrow_alphanumerics(text: str) -> str:
    """Replace full-width letters and digits by ASCII."""
    if text.isascii() or not _WIDE_ALPHANUMERIC.search(text):
        return text
    return text.translate(_TO_ASCII)


def _unify_punctuation(text: str) -> str:
    """Make punctuation full-width beside Chinese characters, and ASCII in text without Chinese."""
    if text.isascii():
        return text
    if not _CHINESE.search(text):
        return _apply_outside_code(_narrow_punctuation, text)
    return (
        _apply_outside_code(_widen_punctuation, text) if _NARROW_PUNCTUATION.search(text) else text
    )


def _narrow_punctuation(text: str) -> str:
    return _WIDE_PUNCTUATION.sub(lambda match: _WIDE_TO_NARROW[match.group()], text)


def _widen_punctuation(text: str) -> str:
    return _BESIDE_CHINESE.sub(lambda match: _NARROW_TO_WIDE[match.group()], text)


def _collapse_space(text: str) -> str:
    """Collapse runs of blanks to one, and remove them at line ends and at both ends of the text.

    Line breaks and code blocks stay. The indentation of a line stays too, unless a Chinese
    character follows it: such an indentation only marks a paragraph.
    """
    if text.isprintable() and "  " not in text:
        return text.strip(" ")  # printable text has no other blanks
    if not _UNTIDY.search(text):
        return text
    return _CODE_OR_BLANKS.sub(_replace_blanks, text).strip()


def _replace_blanks(match: re.Match[str]) -> str:
    """Return the replacement of a code block or of a run of blanks."""
    text, begin, end = match.string, match.start(), match.end()
    if match[1]:
        return match[1]
    if end == len(text) or text[end] == "\n":
        return ""
    if begin and text[begin - 1] != "\n":
        return " "
    return (
        "" if _CHINESE.match(text, end) else "".join(blank for blank in match[0] if blank in " \t")
    )


def _apply_outside_code(step: Callable[[str], str], text: str) -> str:
    """Apply a step to the text outside of code blocks, which are enclosed in ```."""
    if "```" not in text:
        return step(text)
    parts = _CODE.split(text)  # every second part is a code block
    return "".join(part if index % 2 else step(part) for index, part in enumerate(parts))


def _delete_boilerplate(patterns: list[re.Pattern[str]], text: str) -> str:
    """Delete every match of the patterns."""
    for pattern in patterns:
        text = pattern.sub("", text)
    return text


_CLEAN = re.compile(
    r"[A-Za-z,.!?;:'\"()-]+(?: [A-Za-z,.!?;:'\"()-]+)*|[\u4e00-\u9fff][\u4e00-\u9fff，。！？；：]*"
)
"""Text that no step except `boilerplate` can change; most texts match and skip all steps."""


class Cleaner:
    """Applies cleaning steps in a given order."""

    def __init__(self, steps: list[Step], boilerplate: list[str]) -> None:
        patterns = [re.compile(pattern, re.MULTILINE) for pattern in boilerplate]
        functions: dict[Step, Callable[[str], str]] = {
            "encoding": _repair_encoding,
            "unicode": _compose_characters,
            "invisible": _remove_invisible,
            "html": partial(_apply_outside_code, _remove_html),
            "width": partial(_apply_outside_code, _narrow_alphanumerics),
            "punctuation": _unify_punctuation,
            "boilerplate": partial(_delete_boilerplate, patterns),
            "personal_data": personal_data.mask_personal_data,
            "space": _collapse_space,
        }
        self.steps = [(step, functions[step]) for step in steps]
        self._patterns = patterns if "boilerplate" in steps else []

    def clean(self, text: str) -> tuple[str, set[Step]]:
        """Return the cleaned text and the steps that changed it.

        The steps are repeated until none changes the text, since a step may produce something
        that an earlier one removes (`&amp;lt;br&amp;gt;`). Cleaning twice equals cleaning once.
        """
        changed: set[Step] = set()
        while not self.is_clean(text):
            before = text
            for step, function in self.steps:
                after = function(text)
                if after != text:
                    changed.add(step)
                    text = after
            if text == before:
                break
        return text, changed

    def is_clean(self, text: str) -> bool:
        """Whether a quick check shows that no step changes the text.

        False means that the check cannot tell, also for an empty text.
        """
        if not _CLEAN.fullmatch(text):
            return False
        return not self._patterns or not any(pattern.search(text) for pattern in self._patterns)
