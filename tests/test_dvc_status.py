"""Run `dvc status` on our dvc.yaml: a new metric, slice or gate never loads a model."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, change_params

GATE = {
    "suite": "intent", "metric": "accuracy", "variant": "merged", "direction": "at_least",
    "threshold": 0.9,
}  # fmt: skip
VARIANTS = {f"predict@{variant}" for variant in ("base", "merged", "quantized")}


def list_paths() -> Iterator[str]:
    """Yield the dependencies and the outputs of all stages of dvc.yaml."""
    stages = YAML(typ="safe", pure=True).load(REPOSITORY / "dvc.yaml")["stages"]
    for stage in stages.values():
        for variant in stage.get("matrix", {"variant": [""]})["variant"]:
            for entry in (*stage["deps"], *stage["outs"]):
                path = entry if isinstance(entry, str) else next(iter(entry))
                yield path.replace("${item.variant}", variant)


def run_dvc(root: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def list_changed_stages(root: Path) -> set[str]:
    status: dict[str, Any] = json.loads(run_dvc(root, "status", "--json"))
    return set(status)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our pipeline and code with tiny placeholder data, everything up to date."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(REPOSITORY / name, root)
    for name in ("lockstep", "stages"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, root / name, ignore=ignore)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".dvc/config"):  # the starter's project
        file = root / "data/starter/pretraining" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "data/starter/pretraining" / name, file)
    for name in sorted(list_paths(), reverse=True):  # the files of a folder before the folder
        path = root / name
        if not path.exists():
            file = path if path.suffix else path / "placeholder"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
    run_dvc(root, "init", "--no-scm", "--quiet")
    run_dvc(root, "commit", "--force", "--quiet")
    assert list_changed_stages(root) == set()
    return root


@pytest.mark.slow
def test_a_new_metric_reruns_evaluate_and_report_only(repository: Path) -> None:
    registry = repository / "lockstep/metrics/registry.py"
    source = registry.read_text(encoding="utf-8")
    registry.write_text(f"{source}\nMETRICS['text']['characters'] = METRICS['text']['bleu']\n")
    try:
        assert list_changed_stages(repository) == {"evaluate", "report"}
    finally:
        registry.write_text(source, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("evaluate.metrics", {"reply": ["rouge_l"]}, {"evaluate"}),
        ("evaluate.slices", ["language"], {"evaluate"}),
        ("evaluate.gates", [GATE], {"evaluate"}),
        ("predict.max_new_tokens", 81, VARIANTS),
    ],
)
def test_only_params_of_predict_rerun_predict(
    repository: Path, key: str, value: Any, stages: set[str]
) -> None:
    """DVC names the stages whose own dependencies changed; report follows when evaluate has run."""
    file = repository / "params.yaml"
    params = file.read_text(encoding="utf-8")
    values = change_params(YAML(typ="safe", pure=True).load(params), {key: value})
    file.write_text(json.dumps(values))
    try:
        assert list_changed_stages(repository) == stages
    finally:
        file.write_text(params, encoding="utf-8")


@pytest.mark.slow
def test_compiled_code_makes_no_stage_stale(repository: Path) -> None:
    cache = repository / "lockstep/metrics/__pycache__/registry.pyc"
    cache.parent.mkdir()
    cache.write_bytes(b"compiled")
    assert list_changed_stages(repository) == set()


@pytest.mark.slow
def test_the_starter_s_pipeline_is_no_part_of_ours(repository: Path) -> None:
    """Its stages have never run here, yet nothing is to be done until its model changes.

    DVC does not see files within a nested project, so the model must lie outside it.
    """
    assert not (repository / "data/starter/pretraining/dvc.lock").exists()
    assert list_changed_stages(repository) == set()
    stages = run_dvc(repository, "stage", "list", "--all", "--name-only").split()
    assert "base" in stages and not [name for name in stages if "starter" in name]
    model = repository / "data/starter/model/placeholder"
    content = model.read_bytes()
    model.write_bytes(b"other weights")
    try:
        assert list_changed_stages(repository) == {"base"}
    finally:
        model.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["data/starter/pretraining/params.yaml", "lockstep/starter/pretraining.py"]
)
def test_a_change_of_the_starter_s_training_makes_no_stage_stale(
    repository: Path, path: str
) -> None:
    file = repository / path
    content = file.read_bytes()
    file.write_bytes(content + b"\n# changed\n")
    try:
        assert list_changed_stages(repository) == set()
    finally:
        file.write_bytes(content)
