"""Language detection by script, and the scripts of Chinese, Japanese and Korean."""

import re

HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
"""Chinese characters, for use within the brackets of a regular expression."""
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff6f\uff71-\uff9d"
"""Hiragana and katakana, also half-width. The middle dot and the long vowel mark are not among
them, since Chinese text has them too."""
HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff\uffa1-\uffdc"
"""Korean syllables and letters."""

_SCRIPTS = {
    "ja": re.compile(f"[{KANA}\u30fc\uff70]+"),
    "ko": re.compile(f"[{HANGUL}]+"),
    "zh": re.compile(f"[{HAN}]+"),
    "ru": re.compile("[\u0400-\u04ff]+"),
    "ar": re.compile("[\u0600-\u06ff]+"),
    "hi": re.compile("[\u0900-\u097f]+"),
    "th": re.compile("[\u0e00-\u0e7f]+"),
    "el": re.compile("[\u0370-\u03ff]+"),
    "he": re.compile("[\u0590-\u05ff]+"),
}
"""Scripts by the code of the most common language that uses them."""

_OTHER_SCRIPTS = re.compile(f"[\u0370-\u06ff\u0900-\u0e7f{KANA}{HANGUL}]")
"""Characters of all scripts in the table except Chinese."""

_CHINESE = _SCRIPTS["zh"]
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_LATIN_LETTERS_PER_CHARACTER = 3
"""Number of Latin letters that carry about as much text as one Chinese character."""


def detect_language(text: str) -> str:
    """Return `zh`, `ja`, `ko` …, `latin` for every language in Latin script, or `none`."""
    if text.isascii():
        return "latin" if _LATIN.search(text) else "none"
    latin = _count_characters(_LATIN, text)
    if not _OTHER_SCRIPTS.search(text):
        has_chinese = _CHINESE.search(text) is not None
        if has_chinese and (
            not latin or _count_characters(_CHINESE, text) * _LATIN_LETTERS_PER_CHARACTER > latin
        ):
            return "zh"
        return "latin" if latin else "none"
    counts = {code: _count_characters(script, text) for code, script in _SCRIPTS.items()}
    if counts["ja"] and counts["ja"] * 5 >= counts["zh"]:
        return "ja"
    best = max(counts, key=lambda code: counts[code])
    if counts[best] * _LATIN_LETTERS_PER_CHARACTER > latin:
        return best
    return "latin" if latin else "none"


def is_same_language(text: str, other: str) -> bool:
    """Whether two texts have the same language; True if either has no detectable language."""
    first, second = detect_language(text), detect_language(other)
    return first == second or "none" in (first, second)


def _count_characters(script: re.Pattern[str], text: str) -> int:
    """Return the number of characters of a script; matching whole runs is fast."""
    return len(text) - len(script.sub("", text))
