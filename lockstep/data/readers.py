"""What a source gives: its rows, and the labels that they may have."""

from collections.abc import Iterator
from pathlib import Path

from lockstep.data import containers, strict_json
from lockstep.data.containers import Columns, Row
from lockstep.data.rejection import UnfitError
from lockstep.data.sources import Source
from lockstep.errors import UserError

Numbered = tuple[str, Row]
"""Where a row begins, and the row."""


def rows(root: Path, source: Source) -> Iterator[Numbered]:
    """(file:line, row) for each row of a source; UserError where the file itself is bad."""
    path = root / source.path
    columns = Columns(needed=source.in_file, used=source.used)
    count = 0
    for place, row in containers.rows(path, source.encoding, columns):
        count += 1
        yield f"{source.path}:{place}", row
    if count == 0:
        raise UserError(f"{path}: no rows; remove it from prepare.sources or fill it")


def labels(root: Path, source: Source) -> frozenset[str] | None:
    """The labels that the source allows; None: any."""
    if not source.labels:
        return None
    path = root / source.labels
    try:
        names = strict_json.parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{path}: {reason}; correct labels in prepare.sources") from None
    except (UnfitError, UnicodeDecodeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: must be a JSON list of label names")
    return frozenset(names)
