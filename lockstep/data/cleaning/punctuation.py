"""Cleaning steps `width` and `punctuation`: full-width forms in text of any language.

Chinese and Japanese text has full-width punctuation, Korean and Latin text has ASCII punctuation.
Text counts as Chinese or Japanese if it has a Chinese character or kana. In text with kana, an
ASCII comma stays, since the comma of Japanese (、) is another character. In text with hangul all
punctuation stays.
"""

import re

from lockstep.data.language import HAN, HANGUL, KANA

_WIDE_ALPHANUMERIC = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code).isalnum()}

_WIDE_TO_NARROW = dict(zip("，。！？；：（）％．", ",.!?;:()%.", strict=True))
_WIDE = re.compile(f"[{''.join(_WIDE_TO_NARROW)}]")
_NARROW_TO_WIDE = {narrow: wide for wide, narrow in _WIDE_TO_NARROW.items() if narrow in ",!?;:"}
_WITHOUT_NARROW = re.compile("[^,!?;:]*+")

_CHINESE_OR_JAPANESE = re.compile(f"[{HAN}{KANA}]")
_KANA = re.compile(f"[{KANA}]")
_HANGUL = re.compile(f"[{HANGUL}]")
_WRITTEN_WIDE = f"[{HAN}{KANA}\u30fc\uff70]"
_BESIDE_CHINESE = re.compile(rf"(?<={_WRITTEN_WIDE})[,!?;:]|[,!?;:](?={_WRITTEN_WIDE})")
_BESIDE_JAPANESE = re.compile(rf"(?<={_WRITTEN_WIDE})[!?;:]|[!?;:](?={_WRITTEN_WIDE})")


def has_wide_alphanumerics(text: str) -> bool:
    """Whether the text has full-width letters or digits."""
    return not text.isascii() and _WIDE_ALPHANUMERIC.search(text) is not None


def narrow_alphanumerics(text: str) -> str:
    """Replace full-width letters and digits by ASCII."""
    return text.translate(_TO_ASCII)


def has_doubtful_punctuation(text: str) -> bool:
    """Whether the text may have punctuation of the wrong width."""
    if text.isascii():
        return False
    pattern = _WIDE
    if _CHINESE_OR_JAPANESE.search(text):
        if _WITHOUT_NARROW.fullmatch(text):
            return False
        pattern = _BESIDE_CHINESE
    return pattern.search(text) is not None and not _HANGUL.search(text)


def unify_punctuation(prose: str, text: str) -> str:
    """Make punctuation full-width beside Chinese characters and kana, ASCII in text without both.

    `prose` is the part of `text` to change; the script is that of the whole text.
    """
    if _HANGUL.search(text):
        return prose
    if not _CHINESE_OR_JAPANESE.search(text):
        return _WIDE.sub(lambda match: _WIDE_TO_NARROW[match.group()], prose)
    pattern = _BESIDE_JAPANESE if _KANA.search(text) else _BESIDE_CHINESE
    return pattern.sub(lambda match: _NARROW_TO_WIDE[match.group()], prose)
