"""Decoding of text files: the byte order mark, a wrong encoding, and damaged bytes."""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, NoReturn

from lockstep.data import invalid_bytes
from lockstep.data.files.encoding_guess import (
    find_contradiction,
    guess_by_characters,
    guess_encoding,
)
from lockstep.data.files.placed_rows import DataFile
from lockstep.errors import UserError

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks and what they say; those of UTF-32 begin with those of UTF-16."""
_SAMPLE = 200_000
"""Maximum number of bytes, in lines that are not ASCII, by which an encoding is judged."""
_MAX_SCANNED = 100_000_000
"""Maximum number of bytes that are searched for such lines."""
_ASCII_PER_DAMAGED = 20
"""Minimum number of ASCII lines per damaged line in a file that has no other valid lines."""
_CHARACTERS_PER_DAMAGE = 50
"""Minimum number of characters of a file in UTF-16 or UTF-32 for each place with invalid bytes."""
_LONG_LINE = 2_000
"""Number of bytes above which a line is judged in parts."""
_LONG_PART = re.compile(rb'.{200,}?"|.+', re.DOTALL)
"""Part of a long line, up to a quotation mark: no encoding has this byte inside a character."""


def choose_encoding(file: DataFile) -> DataFile:
    """Return the file with the encoding of its byte order mark, or the one that is set.

    Raise UserError if the bytes contradict it: UTF-16 that is read as UTF-8, or Chinese text that
    is read as Latin-1, has no byte that cannot be decoded.
    """
    beginning = _peek(file.stream, 4096)
    mark = next((name for mark, name in _MARKS.items() if beginning.startswith(mark)), "")
    if mark:
        if not _normalize(file.encoding).startswith(_normalize(mark)):
            file.note(f"is read as {mark}, as its byte order mark says, not as {file.encoding}")
            return replace(file, encoding=mark)
        return file
    guess = _guess_wide_encoding(beginning) if is_line_based(file.encoding) else ""
    if not guess and not _normalize(file.encoding).startswith(("utf", "ascii")):
        guess = find_contradiction(_sample_lines(file, "ascii"), file.encoding)
    if guess:
        raise UserError(
            f"{file.path}: not {file.encoding}: its bytes are {guess}; correct encoding in "
            "prepare.sources"
        )
    return file


def is_line_based(encoding: str) -> bool:
    """Whether the byte 0x0A ends a line, so that lines can be decoded one by one."""
    return "\n".encode(encoding) == b"\n"


def read_text(file: DataFile) -> str:
    """Return the text of a whole file; see `read_lines` for invalid bytes."""
    decoder = _Decoder(file)
    text = decoder.decode(file.stream.read())
    decoder.note_damage()
    return text


def read_lines(file: DataFile) -> Iterator[str]:
    """Yield the lines of a file with their line ends.

    Invalid bytes become lone surrogates if most of the file is valid, and their lines are counted
    in a note. In an encoding whose newline is not the byte 0x0A (UTF-16), the file is decoded as a
    whole.
    """
    if not is_line_based(file.encoding):
        yield from io.StringIO(read_text(file), newline="\n")
        return
    decoder = _Decoder(file)
    offset = 0
    for line in file.stream:
        yield decoder.decode(line, offset)
        offset += len(line)
    decoder.note_damage()


class _Decoder:
    """Decodes the parts of a file; the first invalid byte decides whether the file is refused."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._damaged_lines = 0
        self._first = ""

    def decode(self, data: bytes, offset: int = 0) -> str:
        """Decode bytes from `offset` of the file, and drop a byte order mark at its start."""
        try:
            text = data.decode(self._file.encoding)
        except UnicodeDecodeError as error:
            text = self._decode_damaged(data, offset + error.start)
        return text if offset else text.removeprefix("\ufeff")

    def note_damage(self) -> None:
        """Count the damaged lines in a note, if there are any."""
        if self._damaged_lines:
            plural = "s have" if self._damaged_lines > 1 else " has"
            self._file.note(
                f"{self._damaged_lines} line{plural} bytes that are invalid in "
                f"{self._file.encoding} ({self._first}); rows that need them are rejected"
            )

    def _decode_damaged(self, data: bytes, byte: int) -> str:
        """Decode data of which some bytes are invalid; the first of them is `byte` of the file."""
        if not is_line_based(self._file.encoding):
            text = data.decode(self._file.encoding, invalid_bytes.ALL_BYTES_ERRORS)
            if invalid_bytes.count_invalid_bytes(text) * _CHARACTERS_PER_DAMAGE > len(text):
                _refuse_encoding(self._file, byte)
        else:
            if not self._damaged_lines:
                _check_encoding(self._file, byte)
            text = data.decode(self._file.encoding, invalid_bytes.ERRORS)
        if not self._damaged_lines:
            line = _count_lines(self._file, byte)
            shown = invalid_bytes.show_invalid_bytes(text)
            self._first = f"first in line {line}, byte {byte}: {shown}"
        self._damaged_lines += sum(map(invalid_bytes.has_invalid_bytes, text.split("\n")))
        return text


def _peek(stream: IO[bytes], size: int) -> bytes:
    """Return the first bytes of a stream without moving on."""
    buffered: Any = stream
    return bytes(buffered.peek(size)[:size])


def _normalize(encoding: str) -> str:
    return codecs.lookup(encoding).name.replace("-", "").replace("_", "")


def _guess_wide_encoding(data: bytes) -> str:
    """Return utf-16-le or utf-16-be if every second byte of ASCII text is zero."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if len(data) < 4 or max(even, odd) < len(data) / 5:
        return ""
    return "utf-16-le" if even == 0 else "utf-16-be" if odd == 0 else ""


def _sample_lines(file: DataFile, encoding: str) -> bytes:
    """Return lines of the file that cannot be decoded by an encoding."""
    sample: list[bytes] = []
    size = scanned = 0
    with file.reopen() as stream:
        for line in stream:
            scanned += len(line)
            if not _can_decode(line, encoding):
                sample.append(line)
                size += len(line)
            if size > _SAMPLE or scanned > _MAX_SCANNED:
                break
    return b"".join(sample)


def _can_decode(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _check_encoding(file: DataFile, byte: int) -> None:
    """Raise UserError unless most of a file that has an invalid byte is in its encoding.

    A file of ASCII with a few damaged lines is refused if these are text in another encoding.
    """
    ascii_parts, good_parts, damaged_parts = _count_parts(file)
    if damaged_parts <= good_parts:
        return
    is_rare = damaged_parts * _ASCII_PER_DAMAGED < ascii_parts
    if is_rare and not guess_by_characters(_sample_lines(file, "ascii")):
        return
    _refuse_encoding(file, byte)


def _refuse_encoding(file: DataFile, byte: int) -> NoReturn:
    """Raise UserError for a file that is not in its encoding, with a guess of the right one."""
    guess = guess_encoding(_sample_lines(file, "ascii"))
    raise UserError(
        f"{file.path}: not {file.encoding} at byte {byte}, line {_count_lines(file, byte)}; "
        f"{f'it looks like {guess}' if guess else 'no guess'}: correct encoding in prepare.sources"
    )


def _count_lines(file: DataFile, byte: int) -> int:
    """Return the number of the line in which a byte is."""
    with file.reopen() as stream:
        before = stream.read(byte)
    if is_line_based(file.encoding):
        return before.count(b"\n") + 1
    return before.decode(file.encoding, "ignore").count("\n") + 1


def _count_parts(file: DataFile) -> tuple[int, int, int]:
    """Return the number of lines in ASCII, of others that can be decoded, and of those that cannot.

    Parts of a long line count as lines, since a JSON file may have a single one.
    """
    ascii_parts = good = damaged = scanned = 0
    with file.reopen() as stream:
        for line in stream:
            scanned += len(line)
            for part in _LONG_PART.findall(line) if len(line) > _LONG_LINE else [line]:
                if part.isascii():
                    ascii_parts += 1
                elif _can_decode(part, file.encoding):
                    good += 1
                else:
                    damaged += 1
            if scanned > _MAX_SCANNED:
                break
    return ascii_parts, good, damaged
