"""Print the packages that extras of pyproject.toml pin, which constraints.txt does not have."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def main() -> None:
    groups = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    requirements = [requirement for group in groups.values() for requirement in group]
    print(*(requirement for requirement in requirements if "==" in requirement), sep="\n")


if __name__ == "__main__":
    main()
