"""Decoding of text files: the byte order mark, a wrong encoding, and damaged bytes."""

import codecs
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

from lockstep.data.files.encoding_guess import find_contradiction, guess_encoding
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


def decode(data: bytes, file: DataFile, offset: int = 0) -> str:
    """Decode bytes that begin at `offset` of the file, and drop a byte order mark at its start."""
    try:
        text = data.decode(file.encoding)
    except UnicodeDecodeError as error:
        raise UserError(_describe_error(file, error, offset)) from None
    return text if offset else text.removeprefix("\ufeff")


def read_text(file: DataFile) -> str:
    """Return the text of a whole file."""
    return decode(file.stream.read(), file)


def read_lines(file: DataFile) -> Iterator[str]:
    """Yield the lines of a file with their line ends.

    In an encoding whose newline is not the byte 0x0A (UTF-16), the file is decoded as a whole.
    """
    if not is_line_based(file.encoding):
        yield from io.StringIO(read_text(file), newline="\n")
        return
    offset = 0
    for line in file.stream:
        yield decode(line, file, offset)
        offset += len(line)


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


def _describe_error(file: DataFile, error: UnicodeDecodeError, offset: int) -> str:
    """Say which bytes are wrong, and whether they are damaged or the whole encoding is wrong."""
    byte, encoding = offset + error.start, file.encoding
    line = _count_lines(file, byte)
    others, damaged = _count_undecodable_lines(file)
    if damaged <= others and is_line_based(encoding):
        shown = error.object[error.start : max(error.end, error.start + 2)].hex(" ")
        rest = f"{damaged - 1} more such lines, and " if damaged > 1 else ""
        return (
            f"{file.path}:{line}: invalid bytes for {encoding} ({shown}, byte {byte} of the "
            f"file); {rest}the rest is {encoding}: repair the line"
        )
    guess = guess_encoding(_sample_lines(file, "ascii"))
    return (
        f"{file.path}: not {encoding} at byte {byte}, line {line}; "
        f"{f'it looks like {guess}' if guess else 'no guess'}: correct encoding in prepare.sources"
    )


def _count_lines(file: DataFile, byte: int) -> int:
    """Return the number of the line in which a byte is."""
    with file.reopen() as stream:
        return stream.read(byte).count(b"\n") + 1


def _count_undecodable_lines(file: DataFile) -> tuple[int, int]:
    """Return the number of lines beyond ASCII that can be decoded, and of those that cannot."""
    good = bad = scanned = 0
    with file.reopen() as stream:
        for line in stream:
            scanned += len(line)
            if scanned > _MAX_SCANNED:
                break
            if not line.isascii():
                is_good = _can_decode(line, file.encoding)
                good, bad = good + is_good, bad + (not is_good)
    return good, bad
