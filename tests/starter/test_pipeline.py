"""data/starter/pretraining/dvc.yaml declares all that the starter's bytes depend on."""

import ast
import re
import shlex
from typing import Any

import pytest

from lockstep import params
from lockstep.starter.__main__ import Params, main
from lockstep.verify import import_closure
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "data/starter/pretraining"
STAGES: dict[str, Any] = params.parse(FOLDER / "dvc.yaml")["stages"]


def resolve(path: str) -> str:
    """Return a path of dvc.yaml relative to the root of the repository."""
    return (FOLDER / path).resolve().relative_to(REPOSITORY).as_posix()


def list_outs(stage: str) -> list[str]:
    return [
        resolve(entry if isinstance(entry, str) else next(iter(entry)))
        for entry in STAGES[stage]["outs"]
    ]


def find_sample_files(name: str) -> set[str]:
    """Return a module of data/sample, the modules beside it that it imports, and their YAML files.

    `read_yaml(f"intents.{language}.yaml")` reads one file for each language.
    """
    folder = REPOSITORY / "data/sample"
    text = (folder / name).read_text(encoding="utf-8")
    files = {f"data/sample/{name}"}
    for pattern in re.findall(r'read_yaml\(f?"([^"]+)"\)', text):
        glob = re.sub(r"\{\w+\}", "*", pattern)
        files |= {f"data/sample/{path.name}" for path in folder.glob(glob)}
    for node in ast.walk(ast.parse(text)):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        if module and (folder / f"{module}.py").exists():
            files |= find_sample_files(f"{module}.py")
    return files


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_exists_or_is_made_by_the_stage_before(stage: str):
    made = {path for other in STAGES for path in list_outs(other)}
    for path in map(resolve, STAGES[stage]["deps"]):
        assert path in made or (REPOSITORY / path).is_file(), path


def test_the_text_depends_on_the_templates_that_it_reads():
    needed = find_sample_files("starter_text.py")
    assert "data/sample/paraphrases.zh.yaml" in needed and "data/sample/phrasing.py" in needed
    assert set(map(resolve, STAGES["text"]["deps"])) == needed


def test_the_model_depends_on_the_code_that_it_imports():
    needed = import_closure.find_closure("lockstep/starter/__main__.py", REPOSITORY)
    declared = set(map(resolve, STAGES["pretrain"]["deps"]))
    assert {path for path in declared if import_closure.is_code(path)} == needed
    assert {path for path in declared if not import_closure.is_code(path)} == set(list_outs("text"))


def test_the_params_are_the_sections_that_the_command_reads():
    assert set(STAGES["pretrain"]["params"]) == Params.model_fields.keys()
    values = params.parse(FOLDER / "params.yaml")
    assert values.keys() == Params.model_fields.keys()
    params.read(Params, FOLDER / "params.yaml")


def test_the_commands_have_only_declared_paths():
    text, pretrain = (shlex.split(STAGES[stage]["cmd"]) for stage in ("text", "pretrain"))
    assert text[:2] == ["exec", "python"]
    assert resolve(text[2]) == "data/sample/starter_text.py"
    assert [resolve(text[3])] == list_outs("text")
    assert pretrain[:7] == ["cd", "../../..", "&&", "exec", "python", "-m", "lockstep.starter"]
    paths = pretrain[7:]
    assert len(paths) == len(main.params)
    assert paths[0] == "data/starter/pretraining/params.yaml"
    assert paths[1:] == [*list_outs("text"), *list_outs("pretrain")]


def test_git_keeps_the_model_and_dvc_the_text():
    """The weights must be in a clone; the text is generated."""
    settings = [options for out in STAGES["pretrain"]["outs"] for options in out.values()]
    assert settings == [{"cache": False}] * 2
    ignored = (FOLDER / ".gitignore").read_text(encoding="utf-8").split()
    assert ignored == ["/text.jsonl"]


def test_make_starter_runs_this_pipeline_and_compares_its_outputs():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^starter: setup  ## .+\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    assert "cd data/starter/pretraining && ../../../.venv/bin/dvc repro --force" in recipe[1]
    for path in list_outs("pretrain"):
        assert path in recipe[1]
