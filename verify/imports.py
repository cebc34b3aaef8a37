"""Which project modules a stage imports: what its `deps` in dvc.yaml must name.

`python -m verify.imports` prints them for each stage, ready for dvc.yaml.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = "stages"

EXEMPT = (
    "stages/agreements.py",
    "stages/cli.py",
    "stages/errors.py",
    "stages/machine.py",
    "stages/processes.py",
)
"""Modules that cannot change a result: how a stage starts and dies, what is printed or timed.

No stage depends on them, and imports through them are not followed. A package's __init__.py is
exempt as well and must be empty."""


def closure(module: str, root: Path) -> set[str]:
    """The project files that running the file `module` can import, itself included.

    Paths are relative to `root`. Every import statement counts, also within a function or
    under a condition; an import by name at run time (importlib) is invisible here.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += imported(file, root) - set(EXEMPT)
    return found


def imported(module: str, root: Path) -> set[str]:
    """The project files that `module` itself imports, without empty packages' __init__.py."""
    tree = ast.parse((root / module).read_bytes(), module)
    package = Path(module).parent.parts
    files = {_file(name, root) for node in ast.walk(tree) for name in _names(node, package)}
    return {file for file in files if file}


def module_of(command: str) -> str | None:
    """The file that `exec python -m stages.X …` runs; None for another command."""
    match command.split():
        case ["exec", "python", "-m", name, *_] if name.startswith(f"{PROJECT}."):
            return name.replace(".", "/") + ".py"
    return None


def _names(node: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What the statement imports as dotted names: `from a import b` may mean a.b or b of a."""
    if isinstance(node, ast.Import):
        yield from (tuple(alias.name.split(".")) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = package[: len(package) - node.level + 1] if node.level else ()
        source = (*start, *(node.module.split(".") if node.module else ()))
        yield source
        yield from ((*source, alias.name) for alias in node.names)


def _file(name: tuple[str, ...], root: Path) -> str | None:
    path = Path(*name).with_suffix(".py") if name[0] == PROJECT else None
    return path.as_posix() if path and (root / path).is_file() else None


def main() -> None:
    from ruamel.yaml import YAML

    pipeline = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))
    for stage, entry in pipeline["stages"].items():
        module = module_of(entry["cmd"])
        if module:
            print(f"  {stage}:\n    deps:")
            data = [dep for dep in entry["deps"] if not dep.startswith(f"{PROJECT}/")]
            for dep in data + sorted(closure(module, Path())):
                print(f"      - {dep}")


if __name__ == "__main__":
    main()
