"""Set params.yaml up for a file or a folder: put it into data/raw and name it as the source.

Print the content of the file and the change of params.yaml.
"""

import difflib
import re
import shutil
from pathlib import Path
from typing import Any

import click

from lockstep import outputs
from lockstep.cli.params_check import check_parameters
from lockstep.data import file_reading
from lockstep.data.rows import column_names
from lockstep.data.sources import Source
from lockstep.errors import UserError, exit_on_mistake
from lockstep.init.edit_params import edit_params
from lockstep.init.guess_source import SourceGuess, guess_source

RAW = Path("data/raw")
PARAMS = Path("params.yaml")
MAX_COPIED_BYTES = 50_000_000
"""Size above which a file is linked instead of copied, and is too large for git."""


def place_file(path: Path) -> Path:
    """Copy a file or folder into data/raw, or link a large file.

    Return its path relative to data/raw.
    """
    if RAW.resolve() in path.resolve().parents:
        return path.resolve().relative_to(RAW.resolve())
    target = RAW / path.resolve().name
    if path.is_dir() and path.resolve() in RAW.resolve().parents:
        raise UserError(f"{path}: contains {RAW}; name a folder of data files")
    if target.exists():
        raise UserError(f"{target}: exists; rename {path}, or remove the old file")
    RAW.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target)
    elif path.stat().st_size > MAX_COPIED_BYTES:
        outputs.link_or_copy(path, target)
    else:
        shutil.copyfile(path, target)
    return target.relative_to(RAW)


def compute_size(path: Path) -> int:
    """Return the number of bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def build_source_entry(path: Path, guess: SourceGuess) -> dict[str, Any]:
    """Return the entry of prepare.sources for a file or folder below data/raw."""
    is_folder = (RAW / path).is_dir()
    suffix = "/" if is_folder else ""
    name = path.name if is_folder else file_reading.file_stem(path.name)
    task = re.sub(r"\W+", "_", name).strip("_").lower()
    entry: dict[str, Any] = {
        "path": f"{path.as_posix()}{suffix}",
        "format": guess.format,
        "task": task,
    }
    if guess.columns:
        entry["columns"] = guess.columns
    if guess.label_columns:
        entry["label_columns"] = guess.label_columns
    if guess.encoding not in ("utf-8", "ascii"):
        entry["encoding"] = guess.encoding
    return entry


def describe_file(path: Path, guess: SourceGuess, source: Source) -> str:
    """Describe a file in a few lines, with the columns that its source does not read."""
    median, longest = guess.characters
    languages = ", ".join(f"{name} {count}" for name, count in guess.languages.items())
    lines = [
        f"{path}: {guess.format}, {guess.rows:,} rows inspected",
        f"  columns: {', '.join(guess.fields)}",
        f"  language by script: {languages}",
        f"  characters of a row: median {median:,}, at most {longest:,}",
    ]
    if guess.labels:
        shown = ", ".join(f"{name} {count}" for name, count in list(guess.labels.items())[:8])
        lines.append(f"  {len(guess.labels)} labels: {shown}{' …' * (len(guess.labels) > 8)}")
    unknown = column_names.find_unknown_columns(guess.fields, source)
    if unknown and guess.format != "label_studio":  # its columns are inside `data`
        line = column_names.describe_unknown_columns(unknown, guess.fields, source)
        lines.append(f"  {line}")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
def main(data: Path) -> None:
    guess = guess_source(data)
    before = PARAMS.read_text(encoding="utf-8")
    raw_path = place_file(data)
    entry = build_source_entry(raw_path, guess)
    after = edit_params(before, entry, guess.objective)
    with outputs.atomic_file(PARAMS) as partial:
        partial.write_text(after, encoding="utf-8", newline="\n")
        check_parameters(partial)
    click.echo(describe_file(data, guess, Source.model_validate(entry)))
    click.echo("\nparams.yaml changed:")
    lines = before.splitlines(), after.splitlines()
    click.echo("\n".join(list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:]))
    click.echo(f"\nThe data is {RAW / raw_path}; run `make`.")
    if compute_size(data) > MAX_COPIED_BYTES:
        click.echo(
            f"It is large for git: `dvc add {RAW / raw_path}` keeps it in DVC's cache and writes a "
            "small .dvc file for git to track; `dvc push` copies it to your remote."
        )


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
