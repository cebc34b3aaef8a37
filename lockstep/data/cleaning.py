"""Noise out of text, one named step after another, Chinese safe."""

import html
import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import ftfy
from pydantic import AfterValidator

from lockstep.data import personal_data


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]

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

_JOINED = "\u0600-\u08ff\u0900-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff"
"""Scripts and signs that zero-width joiners and non-joiners spell."""
_INVISIBLE = re.compile(
    f"(?<![{_JOINED}])[\u200c\u200d]|[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_CHINESE = "[\u3400-\u4dbf\u4e00-\u9fff]"
_HAN = re.compile(_CHINESE)
_WIDE_ALPHANUMERIC = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code).isalnum()}
_WIDE_LETTER = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_WIDE = dict(zip("，。！？；：（）％．", ",.!?;:()%.", strict=True))
_WIDE_MARK = re.compile(f"[{''.join(_WIDE)}]")
_NARROW = {narrow: wide for wide, narrow in _WIDE.items() if narrow in ",!?;:"}
_BESIDE_HAN = re.compile(rf"(?<={_CHINESE})[,!?;:]|[,!?;:](?={_CHINESE})")
_NARROW_MARK = re.compile("[,!?;:]")
_MOJIBAKE = re.compile("[\u0080-\u2e7f\ue000-\uf8ff\ufb00-\ufb06\ufffd]")
"""One of these is in all that ftfy would repair: Chinese text need not wait for it."""
_CODE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
_CODE_OR_BLANKS = re.compile(rf"{_CODE.pattern}|[^\S\n]+", re.DOTALL)
_UNTIDY = re.compile(r"[^\S\n]{2}|[^\S\n ]|(?:^|\n)[^\S\n]|[^\S\n](?:\n|$)|^\s|\s$")

_TAGS = (
    "a|abbr|b|big|blockquote|body|br|center|cite|code|dd|div|dl|dt|em|font|h[1-6]|head|hr|html|i|"
    "img|kbd|label|li|ol|p|pre|q|s|small|span|strike|strong|sub|sup|table|tbody|td|th|thead|title|"
    "tr|u|ul"
)
_HIDDEN = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|hr)\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s+[\w-]+\s*=[^<>]*)?\s*/?>", re.IGNORECASE)


def _encoding(text: str) -> str:
    """Text decoded wrongly once ("schÃ¶n", "â€™") becomes what it was, by ftfy."""
    if text.isascii() or not _MOJIBAKE.search(text):
        return text
    return ftfy.fix_encoding(text)


def _unicode(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _invisible(text: str) -> str:
    """Without control and zero-width characters; a line ends in one way."""
    if text.isprintable():
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", text)


def _html(text: str) -> str:
    """Without tags and comments of HTML; entities become their characters."""
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", _HIDDEN.sub("", text)))
    return html.unescape(text) if "&" in text else text


def _width(text: str) -> str:
    """Full-width letters and digits become ASCII."""
    if text.isascii() or not _WIDE_LETTER.search(text):
        return text
    return text.translate(_WIDE_ALPHANUMERIC)


def _punctuation(text: str) -> str:
    """Full-width beside Chinese characters, ASCII in text without any."""
    if text.isascii():
        return text
    if not _HAN.search(text):
        return _outside_code(_narrowed, text)
    return _outside_code(_widened, text) if _NARROW_MARK.search(text) else text


def _narrowed(text: str) -> str:
    return _WIDE_MARK.sub(lambda mark: _WIDE[mark.group()], text)


def _widened(text: str) -> str:
    return _BESIDE_HAN.sub(lambda mark: _NARROW[mark.group()], text)


def _space(text: str) -> str:
    """One blank for a run of blanks, none at the end of a line or at either end of the text.

    Line breaks and blocks of code stay, and the indentation of lines, but where a Chinese
    character follows: there it is typography.
    """
    if text.isprintable() and "  " not in text:
        return text.strip(" ")  # printable: no other blank is in it
    if not _UNTIDY.search(text):
        return text
    return _CODE_OR_BLANKS.sub(_tidied, text).strip()


def _tidied(found: re.Match[str]) -> str:
    """What stands in place of a block of code or a run of blanks."""
    text, begin, end = found.string, found.start(), found.end()
    if found[1]:
        return found[1]
    if end == len(text) or text[end] == "\n":
        return ""
    if begin and text[begin - 1] != "\n":
        return " "
    return "" if _HAN.match(text, end) else "".join(blank for blank in found[0] if blank in " \t")


def _outside_code(step: Callable[[str], str], text: str) -> str:
    """The step on all but the blocks between ``` and ```, or the end."""
    if "```" not in text:
        return step(text)
    return "".join(part if at % 2 else step(part) for at, part in enumerate(_CODE.split(text)))


def _boilerplate(patterns: list[re.Pattern[str]], text: str) -> str:
    for pattern in patterns:
        text = pattern.sub("", text)
    return text


_PLAIN = re.compile(
    r"[A-Za-z,.!?;:'\"()-]+(?: [A-Za-z,.!?;:'\"()-]+)*|[\u4e00-\u9fff][\u4e00-\u9fff，。！？；：]*"
)
"""What no step but `boilerplate` could change: most texts are looked at once, not nine times."""


class Cleaner:
    """The chosen steps, in their order."""

    def __init__(self, steps: list[Step], boilerplate: list[str]) -> None:
        patterns = [re.compile(pattern, re.MULTILINE) for pattern in boilerplate]
        functions: dict[Step, Callable[[str], str]] = {
            "encoding": _encoding,
            "unicode": _unicode,
            "invisible": _invisible,
            "html": partial(_outside_code, _html),
            "width": partial(_outside_code, _width),
            "punctuation": _punctuation,
            "boilerplate": partial(_boilerplate, patterns),
            "personal_data": personal_data.mask,
            "space": _space,
        }
        self.steps = [(step, functions[step]) for step in steps]
        self._patterns = patterns if "boilerplate" in steps else []

    def clean(self, text: str) -> tuple[str, set[Step]]:
        """The cleaned text and the steps that changed it.

        The steps run again until none finds anything: one may uncover what an earlier one
        takes out (`&amp;lt;br&amp;gt;`). So clean text is not changed when it is cleaned again.
        """
        changed: set[Step] = set()
        while not self.leaves(text):
            before = text
            for step, function in self.steps:
                after = function(text)
                if after != text:
                    changed.add(step)
                    text = after
            if text == before:
                break
        return text, changed

    def leaves(self, text: str) -> bool:
        """Whether no step can change the text, as far as one look tells; it is not empty then."""
        if not _PLAIN.fullmatch(text):
            return False
        return not self._patterns or not any(pattern.search(text) for pattern in self._patterns)
