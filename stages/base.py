"""Fetch the base model: the committed starter, a revision from the hub or a local folder."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FOLDER, OUT, run
from lockstep.hub import base_model, base_template
from lockstep.hub.base_params import BaseParams
from lockstep.params import Section


class Params(Section):
    """Sections of params.yaml that this stage reads."""

    base: BaseParams


@click.command(help=__doc__)
@click.argument("starter", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(starter: Path, out: Path) -> None:
    base = params.read(Params).base
    with outputs.atomic_folder(out) as partial:
        match base.source:
            case "starter":
                notes = base_model.copy_base(starter, base, partial)
                summary = f"copied {starter}"
            case "hub":
                notes = base_model.download_base(base, partial)
                summary = f"downloaded {base.id} at {base.revision}"
            case "path":
                base_model.check_path(Path(base.path), out)
                notes = base_model.copy_base(Path(base.path), base, partial)
                summary = f"copied {base.path}"
        base_model.apply_configuration(partial, base)
        base_template.write_template(partial, base)
    for note in notes:
        click.echo(f"base: {note}", err=True)
    click.echo(f"base: {summary}", err=True)


if __name__ == "__main__":
    run(main, first=True)
