"""pyproject.toml declares the packages that the code imports, and no others."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RUNTIME = ("lockstep", "stages")
DEVELOPMENT = ("benchmarks", "data/sample", "tests")
USED_WITHOUT_IMPORT = {
    "dvc-s3": "a plugin of dvc",
    "immutabledict": "lm-eval imports it for IFEval, whose classes the tests compare with",
    "mlflow-skinny": "transformers imports it for runtime.report_to",
    "mypy": "a command of `make lint`",
    "pre-commit": "a command for developers",
    "protobuf": "transformers reads sentencepiece models with it",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a command of `make lint`",
    "schedulefree": "transformers imports it for the optimizer schedule_free_adamw",
    "sentencepiece": "transformers imports it for tokenizers without tokenizer.json",
    "tensorboard": "transformers imports it for runtime.report_to",
    "trackio": "transformers imports it for runtime.report_to",
    "vllm-bnb-plugin": "a plugin of vllm",
    "wandb": "transformers imports it for runtime.report_to",
}
PROVIDED_BY = {
    "dvc_data": "dvc",
    "dvc_objects": "dvc",
    "httpx2": "huggingface-hub",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
    "h11": "uvicorn",
    "referencing": "jsonschema",
    "starlette": "fastapi",
}
"""Imported modules that belong to the interface of a declared package, and that package."""


def parse_name(requirement: str) -> str:
    """Return the name of a required package as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>!~;\[ ]", requirement)[0]).lower()


def parse_names(group: list[str]) -> list[str]:
    return sorted(parse_name(requirement) for requirement in group)


RUNTIME_PACKAGES = parse_names(PROJECT["dependencies"])
OPTIONAL_PACKAGES = parse_names([r for g in PROJECT["optional-dependencies"].values() for r in g])


@cache
def find_imports(folders: tuple[str, ...]) -> dict[str, str]:
    """Map each third-party module that the folders import to one file that imports it."""
    local = {"benchmarks", "lockstep", "stages", "tests"}
    local |= {file.stem for file in (ROOT / "data/sample").glob("*.py")}
    imports: dict[str, str] = {}
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                imports.setdefault(name.partition(".")[0], str(file.relative_to(ROOT)))
    ignored = sys.stdlib_module_names | local
    return {name: file for name, file in imports.items() if name not in ignored}


@cache
def find_packages(module: str) -> set[str]:
    """Return the names of the packages that provide a module."""
    packages = importlib.metadata.packages_distributions().get(module, [module])
    return {parse_name(PROVIDED_BY.get(module, package)) for package in packages}


@pytest.mark.parametrize("package", sorted(set(RUNTIME_PACKAGES) - USED_WITHOUT_IMPORT.keys()))
def test_each_runtime_package_is_imported_by_the_library(package: str) -> None:
    assert any(package in find_packages(module) for module in find_imports(RUNTIME))


@pytest.mark.parametrize("package", sorted(set(OPTIONAL_PACKAGES) - USED_WITHOUT_IMPORT.keys()))
def test_each_optional_package_is_imported(package: str) -> None:
    imports = find_imports(RUNTIME + DEVELOPMENT)
    assert any(package in find_packages(module) for module in imports)


def test_each_imported_package_is_declared() -> None:
    declared = {*RUNTIME_PACKAGES, *OPTIONAL_PACKAGES}
    undeclared = {
        f"{file}: {module}"
        for module, file in find_imports(RUNTIME + DEVELOPMENT).items()
        if not find_packages(module) & declared
    }
    assert not undeclared


def test_each_package_has_a_pinned_version() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {parse_name(line) for line in lines if "==" in line}
    development = parse_names(PROJECT["optional-dependencies"]["dev"])
    assert {*RUNTIME_PACKAGES, *development} <= pinned
