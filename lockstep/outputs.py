"""Outputs that are whole or absent: written beside, flushed to disk, renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lockstep.errors import UserError


@contextmanager
def folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out` that takes its place when the block ends well.

    What an earlier, killed run left half-written beside it is removed first.
    """
    partial = out.with_name(f".{out.name}.partial")
    remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        flush(partial)
        remove(out)
        partial.rename(out)
        _flush(out.parent)
    finally:
        remove(partial)


@contextmanager
def file(out: Path) -> Iterator[Path]:
    """Yield a path beside `out` whose file takes its place when the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        yield partial
        _flush(partial)
        partial.replace(out)
        _flush(out.parent)
    finally:
        remove(partial)


def write_json(path: Path, value: Any) -> None:
    """Readable, byte-stable JSON: sorted keys, UTF-8, one newline at the end, never NaN."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> Any:
    """The value that `write_json` wrote; UserError where it is no JSON any more."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: no JSON ({error}); `dvc repro` makes it anew") from None


def digest(out: Path) -> str:
    """A sha256 over the names and bytes below `out` (a file or a folder)."""
    total = hashlib.sha256()
    files = [out] if out.is_file() else sorted(p for p in out.rglob("*") if p.is_file())
    for path in files:
        total.update(path.relative_to(out.parent).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def link(source: Path, target: Path) -> None:
    """`target` shares the bytes of `source` where the file system can, else it is a copy."""
    real = Path(os.path.realpath(source))
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(folder: Path) -> None:
    """Wait until a folder and all below it are on the disk."""
    for path in [*sorted(folder.rglob("*")), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
