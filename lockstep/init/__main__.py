"""Set params.yaml up for a data file: inspect it, put it into data/raw, name it as the source.

Print the content of the file and the change of params.yaml.
"""

import difflib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from lockstep import outputs
from lockstep.cli.params_check import check_parameters
from lockstep.cli.runner import exit_on_mistake
from lockstep.data import file_reading
from lockstep.errors import UserError
from lockstep.init.guess_source import SourceGuess, guess_source

RAW = Path("data/raw")
PARAMS = Path("params.yaml")
MAX_COPIED_BYTES = 50_000_000
"""Size above which a file is linked instead of copied, and is too large for git."""


def place_file(path: Path) -> Path:
    """Copy a file into data/raw, or link a large one; return its path relative to data/raw."""
    if RAW.resolve() in path.resolve().parents:
        return path.resolve().relative_to(RAW.resolve())
    target = RAW / path.name
    if target.exists():
        raise UserError(f"{target}: exists; rename {path}, or remove the old file")
    RAW.mkdir(parents=True, exist_ok=True)
    if path.stat().st_size > MAX_COPIED_BYTES:
        outputs.link_or_copy(path, target)
    else:
        shutil.copyfile(path, target)
    return Path(path.name)


def build_source_entry(path: Path, guess: SourceGuess) -> dict[str, Any]:
    """Return the entry of prepare.sources for a file below data/raw."""
    task = re.sub(r"\W+", "_", file_reading.file_stem(path.name)).strip("_").lower()
    entry: dict[str, Any] = {"path": path.as_posix(), "format": guess.format, "task": task}
    if guess.columns:
        entry["columns"] = guess.columns
    if guess.encoding not in ("utf-8", "ascii"):
        entry["encoding"] = guess.encoding
    return entry


def edit_params(text: str, entry: dict[str, Any], objective: str) -> str:
    """Return the text of params.yaml with this source as the only one, and with the objective."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(text)
    values["prepare"]["sources"] = [entry]
    for key in ("summary_slices", "domains"):  # slices of the sample
        values["evaluate"].pop(key, None)
    values["train"].get("sft", {}).pop("task_weights", None)  # weights of the sample's tasks
    values["train"]["objective"] = objective
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()


def describe_file(path: Path, guess: SourceGuess) -> str:
    """Describe a file in a few lines."""
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
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(data: Path) -> None:
    guess = guess_source(data)
    before = PARAMS.read_text(encoding="utf-8")
    raw_path = place_file(data)
    after = edit_params(before, build_source_entry(raw_path, guess), guess.objective)
    with outputs.atomic_file(PARAMS) as partial:
        partial.write_text(after, encoding="utf-8", newline="\n")
        check_parameters(partial)
    click.echo(describe_file(data, guess))
    click.echo("\nparams.yaml changed:")
    lines = before.splitlines(), after.splitlines()
    click.echo("\n".join(list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:]))
    click.echo(f"\nThe data is {RAW / raw_path}; run `make`.")
    if data.stat().st_size > MAX_COPIED_BYTES:
        click.echo(
            f"It is large for git: `dvc add {RAW / raw_path}` keeps it in DVC's cache and writes a "
            "small .dvc file for git to track; `dvc push` copies it to your remote."
        )


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
