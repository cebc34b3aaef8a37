"""The files that a source's path names: one file, all files of a folder, or those of a glob."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lockstep.data.files.opening import find_stored_path, is_hidden
from lockstep.data.files.placed_rows import Notes
from lockstep.errors import UserError

_WILDCARD = re.compile(r"[*?\[]")
MAX_SHOWN = 3
"""Maximum number of files that a note names."""


def is_pattern(path: str) -> bool:
    """Whether a path is a glob pattern."""
    return _WILDCARD.search(path) is not None


def name_files(path: str, stem: str) -> str:
    """Return a name for the files of a path: `stem`, or in a glob pattern its fixed text.

    `part-*.parquet` gives part, `dialogues/*.jsonl` gives dialogues.
    """
    if not is_pattern(path):
        return stem
    for part in reversed(PurePosixPath(path).parts):
        fixed = _WILDCARD.split(part)[0].strip("-_. ")
        if fixed:
            return fixed
    return "data"


def list_files(
    root: Path, path: str, suffixes: tuple[str, ...], notes: Notes
) -> list[tuple[str, Path]]:
    """Return (name, path) of the files of a source, in the order of their names.

    A name is relative to `root`. Raise UserError if a pattern or a folder gives no file.
    """
    stored = find_stored_path(root / path)
    if stored.is_dir():
        found: Iterator[Path] = stored.rglob("*")
    elif is_pattern(path) and not stored.exists():
        found = _match(root, path)
    else:
        return [(path, stored)]
    names = {file.relative_to(root).as_posix(): file for file in found if not file.is_dir()}
    names = {name: file for name, file in sorted(names.items()) if not is_hidden(name)}
    files = [
        (name, file)
        for name, file in names.items()
        if file.is_file() and name.lower().endswith(suffixes)
    ]
    if not files:
        what = "a folder without data files" if stored.is_dir() else "no data file matches"
        raise UserError(f"{root / path}: {what}; correct path in prepare.sources")
    others = sorted(names.keys() - {name for name, _ in files})
    if others:
        more = ", …" * (len(others) > MAX_SHOWN)
        notes.add(root / path, f"{len(others)} not read: {', '.join(others[:MAX_SHOWN])}{more}")
    return files


def _match(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that match a pattern, in whatever way their names are composed."""
    try:
        for form in {pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD"))}:
            yield from root.glob(form)
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UserError(f"{root / pattern}: no glob pattern: {error}; correct path") from None
