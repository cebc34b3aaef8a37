"""The files of an export: list them, check them, and write them into a folder."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lockstep.errors import UserError
from lockstep.metrics.metric_display import format_bytes
from lockstep.statistics.stage_results import SUMMARIES

CARD_FILE = "README.md"
SCANNED_BYTES = 2**20
"""Number of bytes at the start of a file that are searched for private texts."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file to export: a copy of another, or a text written for the export."""

    name: str
    """Path in the export, with / between its parts."""
    source: Path | str
    """File that is copied, or the text itself."""
    estimate: int = 0
    """Estimated size of a file that the export makes of the folder `source`; 0 for any other."""

    @property
    def size(self) -> int:
        """Number of bytes."""
        if self.estimate:
            return self.estimate
        if isinstance(self.source, Path):
            return self.source.stat().st_size
        return len(self.source.encode())

    def read_start(self) -> bytes:
        """Return the first bytes, at most SCANNED_BYTES."""
        if isinstance(self.source, str):
            return self.source.encode()[:SCANNED_BYTES]
        if self.estimate:
            return b""
        with self.source.open("rb") as stream:
            return stream.read(SCANNED_BYTES)


def list_form(form: Path) -> list[ExportFile]:
    """Return the files of a model folder without the summary that its stage wrote."""
    return [
        ExportFile(path.relative_to(form).as_posix(), path)
        for path in sorted(form.rglob("*"))
        if path.is_file() and path.name != SUMMARIES[form.name]
    ]


def print_files(files: Sequence[ExportFile]) -> None:
    """Print a line for each file with its size, and their sum."""
    for file in files:
        size = f"{'about ' if file.estimate else ''}{format_bytes(file.size)}"
        click.echo(f"{size:>14}  {file.name}")
    total = sum(file.size for file in files)
    click.echo(f"{format_bytes(total):>14}  in {len(files)} files")


def find_private_texts(files: Sequence[ExportFile]) -> Iterator[str]:
    """Yield a problem for each file with the hub's token, or with a path of this machine.

    Paths count in texts written for the export and in configurations: a vocabulary may spell one.
    """
    token = os.environ.get("HF_TOKEN", "")
    for file in files:
        start = file.read_start()
        found = ["the value of HF_TOKEN"] if token and token.encode() in start else []
        if isinstance(file.source, str) or file.name.endswith("config.json"):
            found += [
                description
                for folder, description in (
                    (Path.cwd(), "the path of this clone"),
                    (Path.home(), "a path in the folder of the user"),
                )
                if _names_folder(start, folder)
            ]
        where = file.source if isinstance(file.source, Path) else file.name
        yield from (f"{where}: contains {text}, which must stay here; remove it" for text in found)


def _names_folder(content: bytes, folder: Path) -> bool:
    """Whether a text contains the path of a folder; the root of the file system never counts."""
    pattern = rf"(?<![\w.-]){re.escape(str(folder))}(?![\w-])".encode()
    return len(folder.parts) > 1 and re.search(pattern, content) is not None


def check_target(out: Path, needed: int) -> Iterator[str]:
    """Yield a problem if the target exists, or its disk is read-only or has too little space."""
    if out.exists():
        yield f"{out}: exists; move it away or name another folder by OUT=…"
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not os.access(parent, os.W_OK):
        yield f"{out}: {parent} is read-only; make it writable or name another folder by OUT=…"
    free = shutil.disk_usage(parent).free
    if needed > free:
        yield (
            f"{out}: the export needs {format_bytes(needed)} and the disk has "
            f"{format_bytes(free)}; free space or name another disk by OUT=…"
        )


def write_files(files: Sequence[ExportFile], folder: Path) -> None:
    """Write the files into a folder as copies, since a link would share bytes with DVC's cache."""
    for file in files:
        target = folder / file.name
        if target == file.source:  # made for this export
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.source, Path):
            shutil.copyfile(file.source, target)
        else:
            target.write_text(file.source, encoding="utf-8", newline="\n")


def fail(problems: Sequence[str]) -> None:
    """Raise UserError with a line for each problem, if there is any."""
    if problems:
        raise UserError("\n".join(problems))
