"""dvc.yaml declares what the code imports; packages form no circle; names are plain."""

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

from lockstep import params
from lockstep.verify import import_closure

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    file.relative_to(ROOT).as_posix()
    for package in import_closure.PACKAGES
    for file in ROOT.glob(f"{package}/**/*.py")
    if "hook" not in file.parts  # sitecustomize is no module of the package
)
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
HEAVY = ("datasets", "pandas", "peft", "scipy.stats", "sklearn", "torch", "transformers", "trl")


GUARD = "if __name__ == '__main__':\n    run(main)"
"""Last statement of a stage."""
GUARD_OF_FIRST_STAGE = "if __name__ == '__main__':\n    run(main, first=True)"


def list_stage_files() -> set[str]:
    """Return the files directly in stages/ that end with the guard of a stage."""
    first = next(iter(STAGES))
    return {
        file
        for file in MODULES
        if file.count("/") == 1
        and unparse_last_statement(file)
        == (GUARD_OF_FIRST_STAGE if Path(file).stem == first else GUARD)
    }


def unparse_last_statement(file: str) -> str:
    return "".join(ast.unparse(node) for node in ast.parse((ROOT / file).read_bytes()).body[-1:])


def load_command(stage: str) -> click.Command:
    command: click.Command = importlib.import_module(f"stages.{stage}").main
    return command


def list_paths(entry: dict[str, Any], key: str) -> set[str]:
    """Return the deps or outs of a stage; an entry with settings maps its path to them."""
    return {item if isinstance(item, str) else next(iter(item)) for item in entry.get(key, [])}


FILES = {
    "lockstep/multiple_testing.py": "drift and paired tests are corrected in the same way",
    "lockstep/outputs.py": "a contract of all stages",
    "lockstep/params.py": "a contract of all stages",
    "lockstep/patterns.py": "cleaning and rules read regular expressions in the same way",
    "lockstep/predictions.py": "a contract of all stages",
    "lockstep/rating_entries.py": "answers are rated and records graded on the same sheets",
    "lockstep/records.py": "a contract of all stages",
    "lockstep/resume_key.py": "a contract of the stages that resume",
    "lockstep/segmentation.py": "data, augmentation and metrics have the same words",
    "lockstep/suites.py": "a contract of the stages that evaluate",
    "lockstep/data/embedded_json.py": "personal data in JSON is found string by string",
    "lockstep/data/json_schemas.py": "answers and arguments of calls are checked by schemas",
    "lockstep/data/language.py": "rules check the language of an answer",
    "lockstep/data/personal_data.py": "evaluate looks for personal data in answers",
    "lockstep/data/rejected_rows.py": "replies of a judge and ratings are read strictly",
    "lockstep/data/strict_json.py": "replies of a judge are read strictly",
    "lockstep/data/tool_schemas.py": "calls are checked by the parameters of their functions",
    "lockstep/hub/auxiliary_models.py": "GRPO takes a reward model from the hub",
    "lockstep/hub/base_params.py": "the model card names the base",
    "lockstep/hub/download.py": "GRPO takes a reward model from the hub",
    "lockstep/hub/local_folder.py": "GRPO takes a reward model from a folder",
    "lockstep/metrics/json_answers.py": "perturbations leave alone what the reference copies",
    "lockstep/models/instruction_sets.py": "numpy computes metrics by the fixed kernels",
    "lockstep/metrics/scores.py": "training scores answers while it evaluates",
    "lockstep/training/train_params.py": "the model card shows the settings",
}
"""Dependencies in dvc.yaml that are files of `lockstep/` instead of packages, with the reason."""


def test_stages_are_the_same_in_pipeline_and_code() -> None:
    assert list_stage_files() == {f"stages/{stage}.py" for stage in STAGES}
    for stage in STAGES:
        assert isinstance(load_command(stage), click.Command)


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_packages_that_the_stage_imports(stage: str) -> None:
    needed = import_closure.find_closure(f"stages/{stage}.py", ROOT)
    declared = {path for path in list_paths(STAGES[stage], "deps") if import_closure.is_code(path)}
    missing = {file for file in needed if not import_closure.is_within(file, declared)}
    assert not missing, f"dvc.yaml: {stage} imports modules that its deps do not contain"
    unused = {
        path for path in declared if not any(import_closure.is_within(f, [path]) for f in needed)
    }
    assert not unused, f"dvc.yaml: {stage} imports no module of these deps"
    nested = {path for path in declared if import_closure.is_within(path, declared - {path})}
    assert not nested, f"dvc.yaml: {stage} lists files of packages that it also lists"


def test_files_are_dependencies_for_a_reason() -> None:
    deps = {path for entry in STAGES.values() for path in list_paths(entry, "deps")}
    files = {path for path in deps if path.startswith("lockstep/") and path.endswith(".py")}
    assert files == set(FILES)


def test_init_files_contain_only_a_docstring() -> None:
    """No stage declares a package's __init__.py by itself, so nothing may run there."""
    for file in MODULES:
        if file.endswith("/__init__.py"):
            body = ast.parse((ROOT / file).read_bytes()).body
            assert len(body) <= 1 and all(isinstance(node, ast.Expr) for node in body), file


def test_only_exempt_modules_import_by_name_at_run_time() -> None:
    """The import closure of a stage does not contain modules that are imported by name."""
    closures = (import_closure.find_closure(f"stages/{stage}.py", ROOT) for stage in STAGES)
    for file in set().union(*closures):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(
            r"\b(importlib(?!\.metadata)|__import__|runpy)\b|(?<![.\w])(exec|eval)\(", text
        ), file


def test_stages_are_imported_by_no_module() -> None:
    stages = list_stage_files()
    for file in MODULES:
        assert not import_closure.find_imports(file, ROOT) & stages, file


def test_no_two_modules_have_the_same_name() -> None:
    names = [Path(file).name for file in MODULES]
    names = [name for name in names if name not in ("__init__.py", "__main__.py")]
    assert not {name for name in names if names.count(name) > 1}


FRAGMENTS = re.compile(r"(Of|What|That of|Those|The same|With|None of|How) ")
"""Openings of a docstring that makes no sense by itself."""


def test_docstrings_are_sentences_and_functions_have_names() -> None:
    for file in MODULES:
        for node in ast.walk(ast.parse((ROOT / file).read_bytes())):
            if isinstance(node, ast.FunctionDef):
                assert node.name != "of", f"{file}:{node.lineno}"
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                text = str(node.value.value)
                assert not FRAGMENTS.match(text), f"{file}:{node.lineno}: {text[:60]}"


def find_subject(file: str) -> str:
    return "stages" if file.startswith("stages/") else Path(file).parts[1]


def test_subjects_do_not_import_each_other_in_a_circle() -> None:
    """A subject is a package of lockstep/, a module beside them, or stages/."""
    graph: dict[str, set[str]] = defaultdict(set)
    for file in MODULES:
        subjects = {find_subject(other) for other in import_closure.find_imports(file, ROOT)}
        graph[find_subject(file)] |= subjects - {find_subject(file)}
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def list_sections(stage: str) -> dict[str, type[Any]]:
    """Return the sections that a stage reads with their classes; object for a plain value."""
    fields = importlib.import_module(f"stages.{stage}").Params.model_fields
    kinds = {name: field.annotation for name, field in fields.items()}
    return {name: kind if isinstance(kind, type) else object for name, kind in kinds.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_sections_that_the_stage_reads(stage: str) -> None:
    """A section that several stages read in part is declared by its keys."""
    declared = STAGES[stage].get("params", [])
    assert sorted(declared) == sorted(
        f"{name}.{key}" if issubclass(kind, params.Part) else name
        for name, kind in list_sections(stage).items()
        for key in (kind.model_fields if issubclass(kind, params.Part) else [""])
    )


def test_every_section_of_params_is_read_by_a_stage_or_concerns_no_result() -> None:
    values = params.parse(ROOT / "params.yaml")
    read = {section for entry in STAGES.values() for section in entry.get("params", [])}
    whole = {section for section in read if "." not in section}
    parts = {section.split(".")[0] for section in read} - whole
    without_effect = {"runtime", "serving"}
    assert whole | parts | without_effect == values.keys()
    assert not without_effect & read
    for section in parts:
        assert {f"{section}.{key}" for key in values[section]} <= read


@pytest.mark.parametrize("stage", STAGES)
def test_desc_is_the_module_s_sentence(stage: str) -> None:
    document = importlib.import_module(f"stages.{stage}").__doc__
    assert STAGES[stage]["desc"] == document.splitlines()[0]


TAKE_FOLDERS = ("predict", "judge", "evaluate", "report")
"""Stages whose arguments may be folders of the files that they declare."""


def covers_path(path: str, argument: str, stage: str) -> bool:
    """Whether the argument covers the declared `path`."""
    return path == argument or (stage in TAKE_FOLDERS and path.startswith(f"{argument}/"))


@pytest.mark.parametrize("stage", STAGES)
def test_command_is_the_stage_with_only_its_paths(stage: str) -> None:
    """A command starts one process and contains only declared paths, no value of params.yaml."""
    command = STAGES[stage]["cmd"]
    assert set(re.findall(r"\$\{.*?\}", command)) <= {"${item.variant}"}
    assert not re.search(r"[;&|<>`\n]|\$[^{]", command)
    start, arguments = shlex.split(command)[:4], shlex.split(command)[4:]
    assert start == ["exec", "python", "-m", f"stages.{stage}"]
    parameters = load_command(stage).params
    assert all(isinstance(parameter, click.Argument) for parameter in parameters)
    assert len(arguments) == len(parameters)
    deps = {path for path in list_paths(STAGES[stage], "deps") if not import_closure.is_code(path)}
    outs = {path for key in ("outs", "metrics", "plots") for path in list_paths(STAGES[stage], key)}
    declared = deps | outs
    assert all(
        any(covers_path(path, argument, stage) for argument in arguments) for path in declared
    )
    assert all(
        any(covers_path(path, argument, stage) for path in declared) for argument in arguments
    )


@pytest.mark.parametrize("stage", STAGES)
def test_help_is_the_docstring(stage: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--help"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    document = importlib.import_module(f"stages.{stage}").__doc__
    assert "".join(document.split()) in "".join(result.stdout.split())


@pytest.mark.parametrize("stage", STAGES)
def test_import_loads_nothing_heavy(stage: str) -> None:
    """A heavy import would delay the report of a mistake in params.yaml."""
    code = f"import sys, stages.{stage}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(HEAVY) & set(result.stdout.split())
