"""Bytes that are invalid in the encoding of their file, in rows that are otherwise readable.

A reader decodes such a byte as a lone surrogate (`errors="surrogateescape"`, PEP 383), which no
other text contains. A row is rejected if it needs a text with one; a damaged column that nothing
reads has no effect.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError

ERRORS = "surrogateescape"
"""Error handler by which files are decoded whose lines are damaged here and there."""
ALL_BYTES_ERRORS = "lockstep.all_bytes"
"""Error handler for UTF-16 and UTF-32, in which bytes below 80 may be invalid too."""

_INVALID = re.compile("[\udc00-\udcff]+")
_MAX_SHOWN = 4
"""Maximum number of bytes that a message shows."""

_REASONS = frozenset([
    "lone_surrogate", "invalid_json", "truncated_last_line", "invalid_csv",
    "wrong_number_of_cells",
])  # fmt: skip
"""Reasons for a rejection that damaged bytes explain better."""


def has_invalid_bytes(text: str) -> bool:
    """Whether a text has a byte that could not be decoded."""
    return not text.isascii() and _INVALID.search(text) is not None


def show_invalid_bytes(text: str) -> str:
    """Return the first bytes that could not be decoded, in hexadecimal digits; "" if none."""
    match = _INVALID.search(text)
    return bytes(ord(c) & 0xFF for c in match[0][:_MAX_SHOWN]).hex(" ") if match else ""


def count_invalid_bytes(text: str) -> int:
    """Return the number of places at which bytes could not be decoded."""
    return len(_INVALID.findall(text))


def _escape_bytes(error: UnicodeError) -> tuple[str, int]:
    """Return a lone surrogate for each invalid byte, and the position behind them."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    invalid = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in invalid), error.end


codecs.register_error(ALL_BYTES_ERRORS, _escape_bytes)


def replace_invalid_bytes(text: str) -> str:
    """Return a text with U+FFFD for each run of bytes that could not be decoded."""
    return text if text.isascii() else _INVALID.sub("\ufffd", text)


def explain_error(error: InvalidRowError, row: Any, encoding: str) -> InvalidRowError:
    """Return `invalid_bytes` for a row that is rejected because of them, else the error itself."""
    if str(error) not in _REASONS:
        return error
    texts = _walk_texts(row.row if isinstance(row, InvalidRowError) else row)
    shown = next(filter(None, map(show_invalid_bytes, texts)), "")
    if not shown:
        return error
    detail = f"{shown} cannot be decoded as {encoding}"
    return InvalidRowError("invalid_bytes", error.row, detail=detail)


def _walk_texts(value: Any) -> Iterator[str]:
    """Yield all strings of a row, in order, with the names of its columns."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _walk_texts(child)
