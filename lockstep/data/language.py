"""The language of a text, as far as its script tells."""

import re

_SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff]+"),
    "ko": re.compile("[\uac00-\ud7af]+"),
    "zh": re.compile("[\u3400-\u9fff]+"),
    "ru": re.compile("[\u0400-\u04ff]+"),
    "ar": re.compile("[\u0600-\u06ff]+"),
    "hi": re.compile("[\u0900-\u097f]+"),
    "th": re.compile("[\u0e00-\u0e7f]+"),
    "el": re.compile("[\u0370-\u03ff]+"),
    "he": re.compile("[\u0590-\u05ff]+"),
}
"""The commonest language of a script stands for all that are written in it."""

_OTHER = re.compile("[\u0370-\u06ff\u0900-\u0e7f\u3040-\u30ff\uac00-\ud7af]")
"""Scripts of the table but the Chinese one."""

_HAN = _SCRIPTS["zh"]
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_WORD_OF_HAN = 3
"""Latin letters that carry about as much as one Chinese character."""


def of(text: str) -> str:
    """`zh`, `ja`, `ko` …, `latin` (which its script does not tell apart) or `none`."""
    if text.isascii():
        return "latin" if _LATIN.search(text) else "none"
    latin = _count(_LATIN, text)
    if not _OTHER.search(text):
        han = _HAN.search(text) is not None
        if han and (not latin or _count(_HAN, text) * _WORD_OF_HAN > latin):
            return "zh"
        return "latin" if latin else "none"
    counts = {name: _count(script, text) for name, script in _SCRIPTS.items()}
    if counts["ja"] and counts["ja"] * 5 >= counts["zh"]:
        return "ja"
    best = max(counts, key=lambda name: counts[name])
    if counts[best] * _WORD_OF_HAN > latin:
        return best
    return "latin" if latin else "none"


def _count(script: re.Pattern[str], text: str) -> int:
    """How many characters are of the script; by whole runs, since a run is found at once."""
    return len(text) - len(script.sub("", text))


def alike(one: str, other: str) -> bool:
    """Whether two texts are of one language, where both tell."""
    first, second = of(one), of(other)
    return first == second or "none" in (first, second)
