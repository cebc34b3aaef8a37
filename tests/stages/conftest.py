"""The whole pipeline, run stage by stage within this process."""

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep.statistics import confidence_intervals
from tests.conftest import REPOSITORY


@pytest.fixture
def pipeline_workspace(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Working directory with a base model and the small data files of the repository."""
    shutil.copytree(tiny_model, tmp_path / "data/base")
    for folder in ("adapters", "raw", "human", "tasks"):
        (tmp_path / "data" / folder).mkdir()
    for name in ("synonyms.tsv", "rubric.yaml"):
        shutil.copy(REPOSITORY / "data" / name, tmp_path / "data")
    for number in ("RESAMPLES", "PERMUTATIONS"):
        monkeypatch.setattr(confidence_intervals, number, 50)  # intervals are tested elsewhere
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DVC_")]:
        monkeypatch.delenv(name)
    yield tmp_path


@pytest.fixture
def run_pipeline(pipeline_workspace: Path) -> Callable[[], None]:
    """Run the command of each stage after base as dvc.yaml defines it."""

    def run() -> None:
        pipeline = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text())
        for name, stage in pipeline["stages"].items():
            for variant in stage.get("matrix", {"variant": [""]})["variant"]:
                arguments = stage["cmd"].replace("${item.variant}", variant).split()[4:]
                if name != "base":
                    main: Any = importlib.import_module(f"stages.{name}").main
                    main.main(arguments, standalone_mode=False)

    return run
