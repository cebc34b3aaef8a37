"""Review the results of this branch against those of BASE, as a Markdown comment (`make review`).

BASE is a branch or commit; this branch is compared with the commit at which it starts. The default
is the commit before the current results. Only files that git tracks are needed; texts of answers
and rows of data come from DVC's cache or remote where they have them. Exits with 1 if a gate is not
met.
"""

import json
import sys
from pathlib import Path

import click

from lockstep import outputs
from lockstep.errors import exit_on_mistake
from lockstep.review.comment import write_comment
from lockstep.review.comparison import build_json, compare


@click.command(help=__doc__)
@click.argument("base", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of Markdown.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file, not to stdout."
)
def main(base: str | None, as_json: bool, out: Path | None) -> None:
    comparison = compare(Path(), base)
    text = write_comment(comparison)
    if as_json:
        text = json.dumps(build_json(comparison), ensure_ascii=False, indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
    else:
        with outputs.atomic_file(out) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    sys.exit(not comparison.has_passed)


if __name__ == "__main__":
    with exit_on_mistake():
        main(prog_name="python -m lockstep.review", standalone_mode=False)
