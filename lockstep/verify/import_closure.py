"""Find the project files that a stage imports, directly or through other modules.

`dvc.yaml` must declare, for each stage, the packages that these files lie in;
`python -m lockstep.verify.import_closure` prints the files for each stage.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("lockstep", "stages")
"""Top-level packages of the project."""

EXEMPT = ("lockstep/cli", "lockstep/errors.py", "lockstep/processes.py", "lockstep/progress.py")
"""Code that cannot change a result: it starts and ends stages, prints, and checks params.

No stage declares these paths, and imports in them are not followed. The `__init__.py` of a package
is exempt as well, since it holds only a docstring."""


def find_closure(module: str, root: Path) -> set[str]:
    """Return the project files that running the file `module` can import, itself included.

    Paths are relative to `root`. Every import statement counts, also within a function or
    under a condition. Imports by name at run time (importlib) are not found.
    """
    closure: set[str] = set()
    queue = [module]
    while queue:
        file = queue.pop()
        if file not in closure:
            closure.add(file)
            queue += (other for other in find_imports(file, root) if not is_exempt(other))
    return closure


def find_imports(module: str, root: Path) -> set[str]:
    """Return the project files that `module` itself imports, except packages' `__init__.py`."""
    tree = ast.parse((root / module).read_bytes(), module)
    package = Path(module).parent.parts
    files = {
        _find_file(name, root) for node in ast.walk(tree) for name in _parse_names(node, package)
    }
    return {file for file in files if file}


def is_exempt(file: str) -> bool:
    """Whether no stage needs to declare this file."""
    return file.endswith("/__init__.py") or is_within(file, EXEMPT)


def is_code(path: str) -> bool:
    """Whether a path that dvc.yaml declares holds code of the project."""
    return is_within(path, PACKAGES)


def is_within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of these folders or files, or lies in one of them."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def find_stage_module(command: str) -> str | None:
    """Return the file that `exec python -m stages.X …` runs; None for any other command."""
    match command.split():
        case ["exec", "python", "-m", name, *_] if name.startswith("stages."):
            return name.replace(".", "/") + ".py"
    return None


def _parse_names(node: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names that a statement may import.

    `from a import b` yields both a and a.b, since b may be a module or a name in a.
    """
    if isinstance(node, ast.Import):
        yield from (tuple(alias.name.split(".")) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = package[: len(package) - node.level + 1] if node.level else ()
        source = (*start, *(node.module.split(".") if node.module else ()))
        yield source
        yield from ((*source, alias.name) for alias in node.names)


def _find_file(name: tuple[str, ...], root: Path) -> str | None:
    """Return the project file of a dotted name; None if it is no module of the project."""
    path = Path(*name).with_suffix(".py") if name[0] in PACKAGES else None
    return path.as_posix() if path and (root / path).is_file() else None


def main() -> None:
    """Print the import closure of each stage in dvc.yaml."""
    from ruamel.yaml import YAML

    pipeline = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))
    for stage, entry in pipeline["stages"].items():
        if module := find_stage_module(entry["cmd"]):
            print(f"{stage}:", *sorted(find_closure(module, Path())), sep="\n  ")


if __name__ == "__main__":
    main()
