"""Opening of data files: find the stored name, refuse what is no file, decompress."""

import bz2
import gzip
import io
import lzma
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lockstep.data.files.placed_rows import Layout, Notes
from lockstep.errors import UserError

_DECOMPRESSORS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_UNPACKING_ERRORS = (
    OSError,
    EOFError,
    NotImplementedError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""Beginning of the file that stands for one in Git LFS."""
COMPRESSIONS = (*_DECOMPRESSORS, ".zip")
"""Suffixes of compressed files."""


def strip_compression(path: str) -> PurePosixPath:
    """Return the path without the suffix of a compression."""
    name = PurePosixPath(path)
    return name.with_suffix("") if name.suffix.lower() in COMPRESSIONS else name


def is_archive(path: str) -> bool:
    """Whether a path is a .zip file, which may hold several files."""
    return PurePosixPath(path).suffix.lower() == ".zip"


def is_hidden(name: str) -> bool:
    """Whether a path has a part that archivers and operating systems add for themselves."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def find_stored_path(path: Path) -> Path:
    """Return the path under which a file is stored, if its name is composed in another way.

    macOS stores `é` as two characters, and other systems as they are told.
    """
    if path.exists() or path.parent == path:
        return path
    parent = find_stored_path(path.parent)
    name = unicodedata.normalize("NFC", path.name)
    entries = sorted(parent.iterdir()) if parent.is_dir() else []
    same = [entry for entry in entries if unicodedata.normalize("NFC", entry.name) == name]
    return same[0] if same else parent / path.name


def list_members(path: Path, layout: Layout, suffixes: tuple[str, ...], notes: Notes) -> list[str]:
    """Return the names of the data files in a .zip file, in order; raise UserError if none is."""
    with _open_file(path) as file, zipfile.ZipFile(file) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        names = sorted({info.filename for info in infos if not is_hidden(info.filename)})
        encrypted = {info.filename for info in infos if info.flag_bits & 1}
    if layout.members:
        readable = [name for name in names if fnmatch(name, layout.members)]
    elif len(names) == 1 and strip_compression(path.name).suffix.lower() in suffixes:
        readable = names
    else:
        readable = [n for n in names if strip_compression(n).suffix.lower() in suffixes]
        if len(readable) > 1:
            others = len(names) - len(readable)
            rest = f", {others} others are not" * (others > 0)
            notes.add(path, f"{len(readable)} files of it are read{rest}")
    if not readable:
        shown = ", ".join(names[:5]) or "nothing"
        raise UserError(f"{path}: no data file in it; it contains {shown}: correct members or path")
    if encrypted & {*readable}:
        raise UserError(f"{path}: cannot be unpacked: it is encrypted; pack it without a password")
    return readable


@contextmanager
def open_decompressed(path: Path, member: str = "") -> Iterator[IO[bytes]]:
    """Open a file, or a member of a .zip file, and decompress it; errors become UserError."""
    with _open_file(path) as file:
        if not member:
            yield _decompress(file, path.name)
            return
        with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
            yield _decompress(stream, member)


def _decompress(stream: IO[bytes], name: str) -> Any:
    decompressor = _DECOMPRESSORS.get(PurePosixPath(name).suffix.lower())
    if decompressor is None:
        return stream
    if decompressor is gzip.GzipFile:
        return io.BufferedReader(gzip.GzipFile(fileobj=stream))
    return decompressor(stream)


@contextmanager
def _open_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; turn errors of opening and decompressing into UserError."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UserError(f"{path}: a pipe, socket or device; save its content as a file")
        with path.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise UserError(
                    f"{path}: a pointer of Git LFS instead of the data; run git lfs pull in its "
                    "repository"
                )
            file.seek(0)
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: not found; put it there or correct prepare.sources") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; name a file in prepare.sources") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read; change its permissions") from None
    except _UNPACKING_ERRORS as error:
        raise UserError(f"{path}: cannot be unpacked: {error}; download it again") from None
