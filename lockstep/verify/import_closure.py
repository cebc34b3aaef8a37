"""Find the project files that a stage imports, directly or through other modules.

`dvc.yaml` must declare, for each stage, the packages that these files lie in;
`python -m lockstep.verify.import_closure` prints the files for each stage.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("lockstep", "stages")
"""Top-level packages of the project."""

EXEMPT = ("lockstep/cli", "lockstep/errors.py", "lockstep/processes.py")
"""Code that cannot change a result: how a stage starts and dies, what it prints and checks.

No stage declares these paths, and imports through them are not followed. A package's
`__init__.py` is exempt as well: it holds a docstring and nothing else."""


def closure(module: str, root: Path) -> set[str]:
    """Return the project files that running the file `module` can import, itself included.

    Paths are relative to `root`. Every import statement counts, also within a function or
    under a condition; an import by name at run time (importlib) is invisible here.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += (other for other in imported(file, root) if not is_exempt(other))
    return found


def imported(module: str, root: Path) -> set[str]:
    """Return the project files that `module` itself imports, except packages' `__init__.py`."""
    tree = ast.parse((root / module).read_bytes(), module)
    package = Path(module).parent.parts
    files = {_file(name, root) for node in ast.walk(tree) for name in _names(node, package)}
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


def module_of(command: str) -> str | None:
    """Return the file that `exec python -m stages.X …` runs; None for any other command."""
    match command.split():
        case ["exec", "python", "-m", name, *_] if name.startswith("stages."):
            return name.replace(".", "/") + ".py"
    return None


def _names(node: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the dotted names that a statement imports: `from a import b` may mean a.b or b of a."""
    if isinstance(node, ast.Import):
        yield from (tuple(alias.name.split(".")) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = package[: len(package) - node.level + 1] if node.level else ()
        source = (*start, *(node.module.split(".") if node.module else ()))
        yield source
        yield from ((*source, alias.name) for alias in node.names)


def _file(name: tuple[str, ...], root: Path) -> str | None:
    path = Path(*name).with_suffix(".py") if name[0] in PACKAGES else None
    return path.as_posix() if path and (root / path).is_file() else None


def main() -> None:
    from ruamel.yaml import YAML

    pipeline = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))
    for stage, entry in pipeline["stages"].items():
        if module := module_of(entry["cmd"]):
            print(f"{stage}:", *sorted(closure(module, Path())), sep="\n  ")


if __name__ == "__main__":
    main()
