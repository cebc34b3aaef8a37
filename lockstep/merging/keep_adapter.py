"""Copy a trained adapter, with the hash of its base, so that later runs can combine it.

`python -m lockstep.merging.keep_adapter data/trained/model data/base data/adapters/NAME`
"""

import shutil
from pathlib import Path

import click

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.merging import adapter_folder

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(help=__doc__)
@click.argument("adapter", type=FOLDER)
@click.argument("base", type=FOLDER)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(adapter: Path, base: Path, out: Path) -> None:
    if out.exists():
        raise UserError(f"{out}: exists already; name another folder")
    adapter_folder.check_folder(adapter)
    with outputs.atomic_folder(out) as partial:
        for name in (adapter_folder.CONFIG, adapter_folder.WEIGHTS):
            shutil.copyfile(adapter / name, partial / name)
        adapter_folder.write_base_record(base, partial)
    click.echo(f"{out}: copied; name it in merge.adapters, and add it to git or DVC", err=True)


if __name__ == "__main__":
    main()
