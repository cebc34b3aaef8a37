"""Merge a recipe into params.yaml and keep its comments: `python -m lockstep.recipe NAME`."""

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from lockstep import outputs
from lockstep.cli.params_check import check_parameters
from lockstep.errors import UserError

SECTION = re.compile(r"^\w.*(?:(?:\n(?:#.*)?)*\n .*)*", re.MULTILINE)
"""A section of params.yaml: a line with its name, and all lines up to its last indented line."""
FOLDER = Path(__file__).parents[1] / "recipes"
OPTION_BLOCKS = ("train.adapter", "train.options")
"""Blocks with options of a library; a recipe replaces them as a whole."""


def list_recipes() -> list[str]:
    """Return the names of the recipes."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def merge_recipe(params: str, recipe: str) -> str:
    """Return the text of params.yaml with the recipe's values.

    Comments and order of params.yaml stay; sections that the recipe does not change stay as they
    are. Mappings are merged; lists, plain values and the options of libraries are replaced.
    """
    changes = _create_yaml().load(recipe)
    return SECTION.sub(lambda section: _merge_section(section[0], changes), params)


def main() -> None:
    """Merge the recipe that the command line names into params.yaml of the working directory."""
    if sys.argv[1:] not in [[name] for name in list_recipes()]:
        raise UserError(f"usage: make recipe NAME=…; recipes: {', '.join(list_recipes())}")
    file = Path("params.yaml")
    check_parameters(file)
    recipe = (FOLDER / f"{sys.argv[1]}.yaml").read_text(encoding="utf-8")
    text = merge_recipe(file.read_text(encoding="utf-8"), recipe)
    with outputs.atomic_file(file) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
        try:
            check_parameters(partial)
        except UserError as error:
            merged = f"params.yaml with recipes/{sys.argv[1]}.yaml"
            raise UserError(error.message.replace(str(partial), merged)) from None
    print(f"recipes/{sys.argv[1]}.yaml is merged; `dvc params diff` shows what changed")


def _merge_section(section: str, changes: Mapping[str, Any]) -> str:
    """Return the text of one section of params.yaml with the recipe's values for it."""
    name = section.partition(":")[0]
    if name not in changes:
        return section
    yaml = _create_yaml()
    values, before = yaml.load(section), yaml.load(section)
    _merge_values(values, {name: changes[name]}, "")
    if values == before:
        return section
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue().rstrip("\n")


def _create_yaml() -> YAML:
    """Return a YAML reader and writer that keeps comments, quotes and indentation."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _merge_values(values: CommentedMap, changes: Mapping[str, Any], path: str) -> None:
    for name, change in changes.items():
        change_path = f"{path}.{name}" if path else name
        is_merged = isinstance(change, Mapping) and change_path not in OPTION_BLOCKS
        if is_merged and isinstance(values.get(name), Mapping):
            _merge_values(values[name], change, change_path)
        else:
            values[name] = change


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        error.show()
        sys.exit(error.exit_code)
