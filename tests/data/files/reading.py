"""Read a file for a test, with the columns of a format and settings of a source."""

from pathlib import Path
from typing import Any

from lockstep.data import file_reading, strict_json
from lockstep.data.file_reading import Notes
from lockstep.data.rejected_rows import InvalidRowError
from tests.data.examples import make_source


def read(
    file: Path, format: str = "classification", **settings: Any
) -> tuple[list[tuple[str, Any]], str]:
    """Return (place, row or reason) of each row, and the notes without the path of the file."""
    source = make_source(format, path=file.name, **settings)
    notes = Notes()
    rows = [
        (place, parse(row))
        for place, row in file_reading.read_rows(
            file, source.encoding, source.expected_columns, source.layout, notes
        )
    ]
    return rows, str(notes).replace(f"{file}: ", "")


def parse(row: Any) -> Any:
    """Return the fields of a row, or the reason for which it is unreadable."""
    try:
        return (
            str(row)
            if isinstance(row, InvalidRowError)
            else (strict_json.parse(row) if isinstance(row, str) else row)
        )
    except InvalidRowError as error:
        return str(error)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file and return its path."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file
