"""Cleaning step `encoding`: text that was decoded with a wrong encoding.

UTF-8 that was decoded as Latin-1 or Windows-1252 (`cafÃ©`) can be repaired, and ftfy does it.
Any other encoding that was decoded so (`ÄãºÃ` for 你好) is only recognized: nothing in the text
says for certain which encoding it was, so the row is rejected with the most likely one.
"""

import re
from collections.abc import Callable

import ftfy  # registers sloppy-windows-1252

_DAMAGED = "\u0080-\u200a\u2010-\u2e7f\ue000-\uf8ff\ufb00-\ufb06\ufffd"
"""Characters that occur in wrongly decoded text."""
_WITHOUT_DAMAGE = re.compile(f"[^{_DAMAGED}]*+")
_MOJIBAKE = re.compile(
    f"(?=[{_DAMAGED}])(?:[{_DAMAGED}]{{2}}|[\u0080-\u009f\u00c2\u00c3\u0152\u0153])"
)
"""Two such characters, or one that counts by itself. ftfy changes no text without a match, so this
quick check saves most text the slow repair."""
_OTHER_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")
_PRIVATE = re.compile("[\ue000-\uf8ff\ufffd]")
"""Characters that a repair never produces if the text was UTF-8."""

_HIGH = (
    "\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013-\u203a\u20ac\u2122"
)
"""Characters that Latin-1 and Windows-1252 have beyond ASCII."""
_HIGH_PAIR = re.compile(f"[{_HIGH}]{{2}}")
_HIGH_CHARACTER = re.compile(f"[{_HIGH}]")
_ASCII_LETTERS = re.compile("[A-Za-z]+")
_UPPER, _LOWER, _SIGN = "À-ÖØ-Þ", "ß-öø-ÿ", "¢-©¬-¯±-¶¸¹¼-¾×÷"
_IMPLAUSIBLE = re.compile(
    f"[\u0080-\u009f]|[{_LOWER}][{_UPPER}]|[{_UPPER}{_LOWER}][{_SIGN}]|[{_SIGN}][{_UPPER}{_LOWER}{_SIGN}]"
    f"|[{_UPPER}{_LOWER}][¡¿«»ºª°·][{_UPPER}{_LOWER}]|[‚ƒ„†‡ˆ‰Š‹][{_HIGH}]"
)
"""Neighbours that no language in Latin script has: a capital directly after a small letter with an
accent, a letter beside a sign such as £ or ¬, or a control character."""
_MIN_HIGH_SHARE = 0.25
"""Minimum share of non-ASCII letters among all letters."""
_MIN_GOOD_SHARE = 0.9
"""Minimum share of common characters among the decoded ones."""
_CYRILLIC_WORD = re.compile(r"\b[А-ЯЁ]?[а-яё]{2,}\b")
_CYRILLIC = re.compile("[А-яЁё]")


def may_be_wrong(text: str) -> bool:
    """Whether the text has characters that wrongly decoded text has."""
    return (
        not text.isascii()
        and not _WITHOUT_DAMAGE.fullmatch(text)
        and _MOJIBAKE.search(text) is not None
    )


def repair_encoding(text: str) -> str:
    """Repair UTF-8 that was decoded with another encoding ("schÃ¶n", "â€™"), using ftfy."""
    if not may_be_wrong(text) or guess_encoding(text):
        return text
    if "\x85" in text and not _OTHER_CONTROL.search(text):
        return "\x85".join(map(repair_encoding, text.split("\x85")))  # a line end of Unicode
    repaired = ftfy.fix_encoding(text)
    return text if _PRIVATE.search(repaired) and not _PRIVATE.search(text) else repaired


def guess_encoding(text: str) -> str | None:
    """Return the likely encoding of text that was decoded as Latin-1 or Windows-1252.

    None means that the text reads as a language in Latin script, or was UTF-8.
    """
    if not _HIGH_PAIR.search(text):
        return None
    high = len(_HIGH_CHARACTER.findall(text))
    if high < _MIN_HIGH_SHARE * (high + len("".join(_ASCII_LETTERS.findall(text)))):
        return None
    data = _encode(text)
    if data is None or _decode(data, "utf-8") is not None:
        return None
    for encoding, codec, is_plausible in _CANDIDATES:
        decoded = _decode(data, codec)
        if decoded is not None and is_plausible(text, decoded):
            return encoding
    return None


def _encode(text: str) -> bytes | None:
    """Return the bytes of which the text was decoded."""
    for encoding in ("latin-1", "sloppy-windows-1252"):
        try:
            return text.encode(encoding)
        except UnicodeEncodeError:
            continue
    return None


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _count_common(decoded: str, codec: str, ranges: list[tuple[int, int]]) -> float:
    """Return the share of the non-ASCII characters whose first two bytes are in the ranges."""
    codes = [
        int.from_bytes(character.encode(codec)[:2].ljust(2, b"\0"))
        for character in decoded
        if not character.isascii()
    ]
    if len(codes) < 2:
        return 0.0
    return sum(any(a <= code <= b for a, b in ranges) for code in codes) / len(codes)


def _is_chinese(text: str, decoded: str) -> bool:
    """Whether all but a few characters are punctuation or of level 1 of GB 2312."""
    share = _count_common(decoded, "gb18030", [(0xA1A1, 0xA3FE), (0xB0A1, 0xD7FE)])
    return share >= _MIN_GOOD_SHARE and _IMPLAUSIBLE.search(text) is not None


def _is_traditional_chinese(text: str, decoded: str) -> bool:
    """Whether all but a few characters are punctuation or of level 1 of Big5."""
    share = _count_common(decoded, "cp950", [(0xA140, 0xA3BF), (0xA440, 0xC67E)])
    return share >= _MIN_GOOD_SHARE and _IMPLAUSIBLE.search(text) is not None


def _is_korean(text: str, decoded: str) -> bool:
    """Whether there are four syllables or more, and nearly nothing else."""
    share = _count_common(decoded, "cp949", [(0xA1A1, 0xA3FE), (0xB0A1, 0xC8FE)])
    syllables = sum("\uac00" <= character <= "\ud7a3" for character in decoded)
    return share == 1 and syllables >= 4 and _IMPLAUSIBLE.search(text) is not None


def _is_japanese(text: str, decoded: str) -> bool:
    """Whether a fourth of the characters is kana."""
    kana = sum("\u3041" <= character <= "\u30fe" for character in decoded)
    others = sum(not character.isascii() for character in decoded)
    half_width = sum("\uff61" <= character <= "\uff9f" for character in decoded)
    return kana >= 2 and kana >= others / 4 and half_width <= others / 10


def _is_cyrillic(text: str, decoded: str) -> bool:
    """Whether nearly all letters are in Cyrillic words without a capital inside."""
    letters = len(_CYRILLIC.findall(decoded))
    words = _CYRILLIC_WORD.findall(decoded)
    return len(words) >= 2 and sum(map(len, words)) >= 0.7 * letters >= 0.35 * len(decoded)


_CANDIDATES: tuple[tuple[str, str, Callable[[str, str], bool]], ...] = (
    ("shift_jis", "cp932", _is_japanese),
    ("euc_jp", "euc_jp", _is_japanese),
    ("euc_kr", "cp949", _is_korean),
    ("gb18030", "gb18030", _is_chinese),
    ("big5", "cp950", _is_traditional_chinese),
    ("cp1251", "cp1251", _is_cyrillic),
    ("koi8_r", "koi8_r", _is_cyrillic),
)
"""Encodings with the codec that reads them and the check of the result, in the order in which they
are tried: the stricter a check, the earlier."""
