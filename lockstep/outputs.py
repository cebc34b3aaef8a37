"""Atomic outputs: each is written under a temporary name, flushed to disk, then renamed."""

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
def atomic_folder(out: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces `out` if the block ends without an error.

    The incomplete folder of an earlier run that was killed is removed first.
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
def atomic_file(out: Path) -> Iterator[Path]:
    """Yield a temporary path whose file replaces `out` if the block ends without an error."""
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
    """Write indented JSON with stable bytes: sorted keys, UTF-8, a final newline, no NaN."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; raise UserError if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); run `dvc repro` to create it again") from None


def hash_path(path: Path) -> str:
    """Return a SHA-256 over the names and bytes of a file, or of all files in a folder."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        total.update(file.relative_to(path.parent).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Create `target` as a hard link to `source`, or as a copy if the file system cannot link."""
    resolved = Path(os.path.realpath(source))
    try:
        os.link(resolved, target)
    except OSError:
        shutil.copyfile(resolved, target)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(folder: Path) -> None:
    """Flush a folder and everything in it to disk."""
    for path in [*sorted(folder.rglob("*")), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
