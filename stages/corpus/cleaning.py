"""Noise out of text, one named step after another, Chinese safe."""

import re
import unicodedata
from collections.abc import Callable
from typing import Literal

Step = Literal["unicode", "invisible", "width", "punctuation", "space"]

_INVISIBLE = re.compile(
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f]"
)
_CHINESE = "[\u3400-\u4dbf\u4e00-\u9fff]"
_HAN = re.compile(_CHINESE)
_WIDE_ALPHANUMERIC = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code).isalnum()}
_WIDE = dict(zip("，。！？；：（）％．", ",.!?;:()%.", strict=True))
_NARROW = {narrow: wide for wide, narrow in _WIDE.items() if narrow in ",!?;:"}
_BESIDE_HAN = re.compile(rf"(?<={_CHINESE})[,!?;:]|[,!?;:](?={_CHINESE})")
_SPACES = re.compile(r"[^\S\n]+")


def _unicode(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _invisible(text: str) -> str:
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _width(text: str) -> str:
    """Full-width letters and digits become ASCII."""
    return text.translate(_WIDE_ALPHANUMERIC)


def _punctuation(text: str) -> str:
    """Full-width beside Chinese characters, ASCII in text without any."""
    if _HAN.search(text):
        return _BESIDE_HAN.sub(lambda mark: _NARROW[mark.group()], text)
    return text.translate({ord(wide): narrow for wide, narrow in _WIDE.items()})


def _space(text: str) -> str:
    """One blank for a run of blanks (line breaks stay), none at either end."""
    return "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n")).strip()


STEPS: dict[Step, Callable[[str], str]] = {
    "unicode": _unicode,
    "invisible": _invisible,
    "width": _width,
    "punctuation": _punctuation,
    "space": _space,
}


def clean(text: str, steps: list[Step]) -> tuple[str, list[Step]]:
    """The cleaned text and the steps, in their order, that changed it."""
    changed = []
    for step in steps:
        after = STEPS[step](text)
        if after != text:
            changed.append(step)
        text = after
    return text, changed
