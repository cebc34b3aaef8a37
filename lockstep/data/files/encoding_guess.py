"""Recognize the encoding of a text by the characters that its bytes would be.

Every guess needs characters that are common in the language, since almost any bytes are some text
in almost any encoding.
"""

import re
from collections import Counter
from collections.abc import Callable

_MIN_CHARACTERS = 4
"""Minimum number of characters that contradict the encoding that is set."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_WESTERN = "éèàçüöäßñáíóúâêîôûëïœæøåãõìòùýÄÖÜÅØÆÉÈÀÇÑ¿¡«»°£€§´·®©™…–—‘’“”•"

_SMALL_CYRILLIC = re.compile("[а-яё]{2,}")
_PUNCTUATION = "，。、！？：；（）《》“”‘’—…\u3000"


def guess_encoding(sample: bytes) -> str:
    """Return the most likely encoding of lines that are not ASCII; "" if none is likely."""
    return _find_candidate(sample)[0] or _guess_by_library(sample)


def guess_by_characters(sample: bytes) -> str:
    """Return the encoding in which lines have characters that are common in a language, or ""."""
    return _find_candidate(sample)[0]


def find_contradiction(sample: bytes, encoding: str) -> str:
    """Return the encoding that lines have, if it is clearly not the one that is set; else "".

    Western European text is never a contradiction: most single-byte encodings share its letters.
    """
    candidate, number = _find_candidate(sample)
    family = _FAMILIES.get(_normalize(encoding), _normalize(encoding))
    if candidate in ("", "cp1252") or _normalize(candidate) == family:
        return ""
    return candidate if candidate == "utf-8" or number >= _MIN_CHARACTERS else ""


def _find_candidate(sample: bytes) -> tuple[str, int]:
    """Return the first encoding that fits, and the number of characters beyond ASCII in it."""
    for encoding, measure, minimum in _CANDIDATES:
        text = _decode(sample, encoding)
        if text and measure(text) >= minimum:
            return encoding, len(text)
    return "", 0


def _normalize(encoding: str) -> str:
    return encoding.lower().replace("-", "").replace("_", "")


_FAMILIES = {
    **dict.fromkeys(("gbk", "gb2312", "cp936", "hzgb2312"), "gb18030"),
    **dict.fromkeys(("big5hkscs", "cp950"), "big5"),
    **dict.fromkeys(("shiftjis", "sjis", "shiftjis2004", "shiftjisx0213"), "cp932"),
    **dict.fromkeys(("cp949", "uhc", "johab"), "euckr"),
    **dict.fromkeys(("eucjp2004", "eucjisx0213", "eucjis2004", "ujis"), "eucjp"),
    **dict.fromkeys(("windows1251",), "cp1251"),
    **dict.fromkeys(("koi8u", "koi8"), "koi8r"),
}
"""Names of encodings that contain, or are contained in, one of the candidates."""


def _decode(sample: bytes, encoding: str) -> str:
    """Return the text without ASCII, except for blanks between its parts; "" if it is invalid."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return " ".join(_BEYOND_ASCII.findall(text))


def _measure_runs(pattern: str) -> Callable[[str], float]:
    """Return a measure: the share of characters in runs that match a pattern."""
    runs = re.compile(pattern)
    return lambda text: sum(map(len, runs.findall(text))) / len(text.replace(" ", ""))


def _measure_first_level(encoding: str, first: int, last: int) -> Callable[[str], float]:
    """Return a measure: the share of characters in the rows of a standard for common ones."""

    def measure(text: str) -> float:
        number = 0
        characters = Counter(text.replace(" ", ""))
        for character, count in characters.items():
            encoded = character.encode(encoding, "replace")
            is_common = len(encoded) == 2 and first <= encoded[0] <= last
            number += count * (is_common or character in _PUNCTUATION)
        return number / characters.total()

    return measure


def _measure_cyrillic(text: str) -> float:
    """Return the share of small letters in words, if the common ones are half of them.

    They are over 60% of Slavic text, but 40% of the letters that Hebrew or Greek bytes would be.
    """
    letters = "".join(_SMALL_CYRILLIC.findall(text))
    common = sum(map(letters.count, "оеаинтсрв"))
    return len(letters) / len(text.replace(" ", "")) if 2 * common >= len(letters) else 0.0


_CANDIDATES: tuple[tuple[str, Callable[[str], float], float], ...] = (
    ("utf-8", lambda text: 1.0, 1.0),
    ("euc-jp", _measure_runs("[ぁ-ヿ]"), 0.3),
    ("cp932", _measure_runs("[ぁ-ヿ]"), 0.3),
    ("euc-kr", _measure_runs("[가-힣]"), 0.9),
    ("gb18030", _measure_first_level("gb2312", 0xB0, 0xD7), 0.85),
    ("big5", _measure_first_level("big5", 0xA4, 0xC6), 0.85),
    ("cp1251", _measure_cyrillic, 0.7),
    ("koi8-r", _measure_cyrillic, 0.7),
    ("cp866", _measure_cyrillic, 0.7),
    ("cp1252", _measure_runs(f"[{_WESTERN}]"), 0.6),
)
"""Encodings in the order in which they are tried, each with a measure and its minimum: kana, hangul
and the first level of Chinese characters, which makes up over 99% of modern text, and small
letters. The Chinese standards come after the ones that share their bytes."""


def _guess_by_library(sample: bytes) -> str:
    """Return the guess of charset-normalizer, which knows the other languages."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding.replace("_", "-") if best and best.encoding != "ascii" else ""
