"""Merge a recipe into params.yaml, which keeps its comments: `python -m lockstep.recipe NAME`."""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from lockstep import outputs
from lockstep.cli.params_check import check_parameters
from lockstep.errors import UserError

FOLDER = Path(__file__).parents[1] / "recipes"


def names() -> list[str]:
    """The recipes that there are."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def merged(params: str, recipe: str) -> str:
    """The text of params.yaml with the recipe's values, its own comments and order."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(params)
    _overlay(values, yaml.load(recipe), "")
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def main() -> None:
    if sys.argv[1:] not in [[name] for name in names()]:
        raise UserError(f"usage: make recipe NAME=…; there are {', '.join(names())}")
    file = Path("params.yaml")
    recipe = (FOLDER / f"{sys.argv[1]}.yaml").read_text(encoding="utf-8")
    text = merged(file.read_text(encoding="utf-8"), recipe)
    with outputs.atomic_file(file) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
        check_parameters(partial)
    print(f"params.yaml follows recipes/{sys.argv[1]}.yaml; `dvc params diff` shows what changed")


def _overlay(values: CommentedMap, changes: Mapping[str, Any], path: str) -> None:
    """Mappings are merged, but options of a library, lists and plain values replaced."""
    for name, change in changes.items():
        where = f"{path}.{name}" if path else name
        if name not in values and path != "train.options":
            raise UserError(f"{where}: params.yaml has no such key")
        if isinstance(change, Mapping) and not _is_options(where):
            _overlay(values[name], change, where)
        else:
            values[name] = change


def _is_options(path: str) -> bool:
    """Whether a mapping holds options of a library, of which only the recipe's are to stay."""
    return path == "train.options" or path.startswith("strategies.")


if __name__ == "__main__":
    try:
        main()
    except UserError as refusal:
        refusal.show()
        sys.exit(refusal.exit_code)
