"""Words of texts in any script, for augmentation, duplicates and metrics.

A word is a run of letters and digits with their combining marks and joiners. Scripts without
spaces between words are segmented: Chinese by jieba (without its HMM), Japanese and Thai by BudouX.
Both are deterministic and bring their data with them. Lao, Khmer and Burmese are not segmented.
"""

import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import regex

Span = tuple[int, int]
"""Start and end of a part of a text, in characters."""

IDEOGRAPHS = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFF))
"""First and last code points of the blocks of Chinese characters."""
KANA = ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))
"""First and last code points of the blocks of Japanese letters."""
THAI = ((0x0E00, 0x0E7F),)
"""First and last code point of the Thai block."""
JOINERS = "\u200c\u200d"
"""Zero-width characters that stand inside of words, for example in Persian and Hindi."""


def _format_class(*blocks: tuple[int, int]) -> str:
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in blocks)


_CJK = rf"[[{_format_class(*IDEOGRAPHS, *KANA)}]&&[\p{{L}}\p{{N}}]]"
_THAI = rf"[[{_format_class(*THAI)}]&&\p{{L}}]"
_UNSEGMENTED = rf"{_CJK}{_THAI}"
EXTEND = rf"[\p{{M}}{JOINERS}]"
"""Pattern of a character that belongs to the letter before it."""
_RUNS = rf"(?:{_CJK}{EXTEND}*)+|(?:{_THAI}{EXTEND}*)+"
_WORD = rf"(?:[[\p{{L}}\p{{N}}]--[{_UNSEGMENTED}]]{EXTEND}*)+"
_LETTERS = rf"(?:[[\p{{L}}\p{{No}}\p{{Nl}}]--[{_UNSEGMENTED}]]{EXTEND}*)+"

_WORDS_AND_RUNS = regex.compile(rf"{_WORD}|{_RUNS}", regex.V1)
_CHARACTERS_AND_WORDS = regex.compile(rf"{_CJK}{EXTEND}*|{_WORD}|{_RUNS}", regex.V1)
_LETTER_WORDS = regex.compile(rf"{_LETTERS}(?:['’]{_LETTERS})*|{_RUNS}", regex.V1)
_ASCII_WORDS = regex.compile("[A-Za-z0-9]+")
_KANA = regex.compile(f"[{_format_class(*KANA)}]")
_FIRST_THAI = chr(THAI[0][0])
_LAST_THAI = chr(THAI[0][1])
_MARKS = regex.compile(EXTEND)


def split_characters_and_words(text: str) -> list[str]:
    """Split a text into words of which each Chinese or Japanese character is one.

    This is the usual way to count words for ROUGE in Chinese. Thai is segmented.
    """
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    words: list[str] = []
    for word in _CHARACTERS_AND_WORDS.findall(text):
        words += _segment(word) if _FIRST_THAI <= word[0] <= _LAST_THAI else [word]
    return words


def split_words(text: str) -> list[str]:
    """Split a text into words; Chinese, Japanese and Thai are segmented."""
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    return [text[start:end] for start, end in _find_spans(_WORDS_AND_RUNS, text)]


def find_letter_words(text: str) -> list[Span]:
    """Return the spans of the words of letters, with their apostrophes and without digits."""
    return [*_find_spans(_LETTER_WORDS, text)]


def split_graphemes(text: str) -> list[str]:
    """Split a text into characters as users see them: letters with their combining marks."""
    return [*text] if text.isascii() else regex.findall(r"\X", text)


def compose(text: str) -> str:
    """Return the text with composed letters (NFC), so that equal words have equal characters."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _find_spans(pattern: Any, text: str) -> Iterator[Span]:
    for match in pattern.finditer(text):
        start = match.start()
        for part in _segment(match.group()):
            yield start, start + len(part)
            start += len(part)


def _segment(run: str) -> list[str]:
    """Return the words of a run of Chinese, Japanese or Thai; another run is one word."""
    segment = _choose_segmenter(run)
    if segment is None:
        return [run]
    words: list[str] = []
    for part in segment(run):
        if words and _MARKS.match(part):
            words[-1] += part  # a combining mark belongs to the letter before it
        else:
            words.append(part)
    return words


def _choose_segmenter(run: str) -> Callable[[str], list[str]] | None:
    if _FIRST_THAI <= run[0] <= _LAST_THAI:
        return _load_budoux("th")
    if not _is_within(ord(run[0]), (*IDEOGRAPHS, *KANA)):
        return None
    return _load_budoux("ja_word") if _KANA.search(run) else _load_jieba()


def _is_within(code: int, blocks: tuple[Span, ...]) -> bool:
    return any(first <= code <= last for first, last in blocks)


@cache
def _load_budoux(model: str) -> Callable[[str], list[str]]:
    """Return the segmentation by a model of BudouX; it has no loader for `ja_word`."""
    import json
    from pathlib import Path

    from budoux.parser import MODEL_DIR, Parser

    return Parser(json.loads(Path(MODEL_DIR, f"{model}.json").read_text("utf-8"))).parse


@cache
def _load_jieba() -> Callable[[str], list[str]]:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    with tempfile.TemporaryDirectory(prefix="lockstep-") as private:
        # jieba caches its dictionary as a pickle, by default in /tmp, where anybody can write
        tokenizer.tmp_dir = private
        tokenizer.initialize()
    return lambda run: tokenizer.lcut(run, HMM=False)
