"""dvc.yaml says what the code does: module boundaries are cache boundaries, each fact once."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from stages import cli, params
from verify import imports

ROOT = Path(__file__).parents[1]
MODULES = sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob("stages/**/*.py"))
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
HEAVY = ("datasets", "pandas", "peft", "scipy.stats", "sklearn", "torch", "transformers", "trl")


def verbs() -> set[str]:
    """The files directly in stages/ that guard a click command with `run(main)`."""
    return {file for file in MODULES if file.count("/") == 1 and is_guarded(file)}


def is_guarded(file: str) -> bool:
    last = ast.parse((ROOT / file).read_bytes()).body[-1:]
    return [ast.unparse(node) for node in last] == ["if __name__ == '__main__':\n    run(main)"]


def main_of(stage: str) -> click.Command:
    command: click.Command = importlib.import_module(f"stages.{stage}").main
    return command


def paths(entry: dict[str, Any], key: str) -> set[str]:
    """Deps or outs of a stage; an entry with settings is a mapping of its path to them."""
    return {item if isinstance(item, str) else next(iter(item)) for item in entry.get(key, [])}


def is_code(path: str) -> bool:
    return path.startswith("stages/")


def test_stages_are_the_same_in_pipeline_code_and_cli() -> None:
    assert verbs() == {f"stages/{stage}.py" for stage in STAGES}
    assert list(STAGES) == list(cli.STAGES)
    for stage in STAGES:
        assert isinstance(main_of(stage), click.Command)


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_modules_that_the_stage_imports(stage: str) -> None:
    needed = imports.closure(f"stages/{stage}.py", ROOT)
    needed |= {
        template.relative_to(ROOT).as_posix()
        for folder in {(ROOT / module).parent for module in needed}
        for template in folder.glob("*.j2")
    }
    declared = {path for path in paths(STAGES[stage], "deps") if is_code(path)}
    assert declared == needed, (
        f"{stage} in dvc.yaml lacks {sorted(needed - declared)} and has {sorted(declared - needed)}"
        " too many; `python -m verify.imports` prints for each stage what to paste:\n"
        + "\n".join(f"      - {path}" for path in sorted(needed))
    )


def test_exempt_modules_and_packages_hold_nothing_that_changes_a_result() -> None:
    """cli and errors by what they do; a package because nothing is in it."""
    assert set(imports.EXEMPT) <= set(MODULES)
    for file in MODULES:
        if file.endswith("/__init__.py"):
            assert (ROOT / file).read_bytes() == b"", f"{file}: no stage depends on it: empty it"


def test_only_exempt_modules_import_by_name_at_run_time() -> None:
    """Such an import is in no stage's deps."""
    for file in set(MODULES) - set(imports.EXEMPT):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(
            r"\b(importlib(?!\.metadata)|__import__|runpy)\b|(?<![.\w])(exec|eval)\(", text
        ), file


def test_verbs_are_imported_by_nobody() -> None:
    for file in MODULES:
        assert not imports.imported(file, ROOT) & verbs(), file


def test_subjects_do_not_import_each_other_in_a_circle() -> None:
    """A subject is a folder of stages/ or a module beside them."""
    graph: dict[str, set[str]] = defaultdict(set)
    for file in MODULES:
        subjects = {Path(other).parts[1] for other in imports.imported(file, ROOT)}
        graph[Path(file).parts[1]] |= subjects - {Path(file).parts[1]}
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def sections(stage: str) -> dict[str, type[Any]]:
    """Of params.yaml that a stage reads, and their classes; a plain value has none of its own."""
    fields = importlib.import_module(f"stages.{stage}").Params.model_fields
    kinds = {name: field.annotation for name, field in fields.items()}
    return {name: kind if isinstance(kind, type) else object for name, kind in kinds.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_sections_that_the_stage_reads(stage: str) -> None:
    """A section that several stages read in part is declared by its keys."""
    declared = STAGES[stage].get("params", [])
    assert sorted(declared) == sorted(
        f"{name}.{key}" if issubclass(kind, params.Part) else name
        for name, kind in sections(stage).items()
        for key in (kind.model_fields if issubclass(kind, params.Part) else [""])
    )


def test_every_section_of_params_is_read_by_a_stage_or_is_runtime() -> None:
    values = params.parse(ROOT / "params.yaml")
    read = {section for entry in STAGES.values() for section in entry.get("params", [])}
    whole = {section for section in read if "." not in section}
    parts = {section.split(".")[0] for section in read} - whole
    assert whole | parts | {"runtime"} == values.keys()
    assert "runtime" not in read
    for section in parts:
        assert {f"{section}.{key}" for key in values[section]} <= read


def test_params_are_valid() -> None:
    cli.check_parameters(ROOT / "params.yaml")


@pytest.mark.parametrize("stage", STAGES)
def test_desc_is_the_module_s_sentence(stage: str) -> None:
    document = importlib.import_module(f"stages.{stage}").__doc__
    assert STAGES[stage]["desc"] == document.splitlines()[0]


def is_given(path: str, place: str, stage: str) -> bool:
    """Whether the argument `place` stands for `path`; some stages take folders of their files."""
    return path == place or (stage in ("judge", "report") and path.startswith(f"{place}/"))


@pytest.mark.parametrize("stage", STAGES)
def test_command_is_the_stage_with_its_paths_alone(stage: str) -> None:
    """One plain process, no value of params.yaml in a shell line, no path that is not declared."""
    command = STAGES[stage]["cmd"]
    assert set(re.findall(r"\$\{.*?\}", command)) <= {"${item.variant}"}
    assert not re.search(r"[;&|<>`\n]|\$[^{]", command)
    start, given = shlex.split(command)[:4], shlex.split(command)[4:]
    assert start == ["exec", "python", "-m", f"stages.{stage}"]
    arguments = main_of(stage).params
    assert all(isinstance(argument, click.Argument) for argument in arguments)
    assert len(given) == len(arguments)
    deps = {path for path in paths(STAGES[stage], "deps") if not is_code(path)}
    outs = {path for key in ("outs", "metrics", "plots") for path in paths(STAGES[stage], key)}
    declared = deps | outs
    assert all(any(is_given(path, place, stage) for place in given) for path in declared)
    assert all(any(is_given(path, place, stage) for path in declared) for place in given)


@pytest.mark.parametrize("stage", STAGES)
def test_help_is_the_docstring(stage: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--help"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = importlib.import_module(f"stages.{stage}").__doc__
    assert "".join(document.split()) in "".join(done.stdout.split())


@pytest.mark.parametrize("stage", STAGES)
def test_import_loads_nothing_heavy(stage: str) -> None:
    """So that a mistake in params.yaml is told at once."""
    code = f"import sys, stages.{stage}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(HEAVY) & set(done.stdout.split())
