"""A stage imports only the heavy modules that it uses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, write_params
from tests.stages.test_own_data import ROWS

OTHER = {"scipy.optimize", "sklearn", "trl"}
MODELS = {"peft", "torch", "transformers"}
DATA = {"datasets", "pandas", "pyarrow"}

FORBIDDEN: dict[str, set[str]] = {
    "prepare": {*OTHER, *MODELS, *DATA, "bitsandbytes.nn"},
    "augment": {*OTHER, *MODELS, *DATA, "bitsandbytes.nn"},
    "train": {"bitsandbytes.nn", "scipy.optimize", "sklearn"},
    "merge": {*OTHER, *DATA, "bitsandbytes.nn"},
    "quantize": {*OTHER, *DATA, "peft"},
    "predict base": {*OTHER, *DATA, "bitsandbytes.nn", "peft"},
    "predict merged": {*OTHER, *DATA, "bitsandbytes.nn", "peft"},
    "predict quantized": {*OTHER, *DATA, "peft"},
    "judge": {*OTHER, *MODELS, *DATA, "bitsandbytes.nn"},
    "evaluate": {*MODELS, "bitsandbytes.nn", "datasets"},
    "report": {*MODELS, *DATA, "bitsandbytes.nn", "sklearn", "trl"},
}
"""Modules that each stage must not import with the settings of the sample except lm-eval's.

predict imports `datasets` only to compare accuracies with lm-eval. `base` is left out: it is the
first stage, which checks the options of all libraries and so imports them. An import that fails is
listed too, so bitsandbytes is named by a submodule."""


def list_commands() -> dict[str, list[str]]:
    """Return the command of each stage after base, by stage and variant."""
    stages: dict[str, Any] = YAML(typ="safe", pure=True).load(REPOSITORY / "dvc.yaml")["stages"]
    return {
        f"{name} {variant}".strip(): stage["cmd"].replace("${item.variant}", variant).split()[2:]
        for name, stage in stages.items()
        for variant in stage.get("matrix", {"variant": [""]})["variant"]
        if name != "base"
    }


def run_and_list_imports(command: list[str], folder: Path) -> set[str]:
    """Run `python` with a command and return the names of all modules that it imported."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    messages = [row for row in result.stderr.splitlines() if not row.startswith("import time:")]
    assert result.returncode == 0, messages
    return set(re.findall(r"^import time:.*\| +(\S+)$", result.stderr, re.MULTILINE))


@pytest.mark.slow
def test_each_stage_imports_no_heavy_module_that_it_does_not_use(pipeline_workspace: Path):
    """Such an import costs up to seconds per stage; `python -X importtime` shows who does it."""
    rows = [json.dumps(row) + "\n" for row in ROWS["classification"]]
    (pipeline_workspace / "data/raw/own.jsonl").write_text("".join(rows))
    source = {"path": "own.jsonl", "format": "classification"}
    size = {"train.epochs": 0.5, "predict.lm_eval": {"records": 0}, "predict.split_records": 1}
    write_params(
        pipeline_workspace,
        {"prepare.sources": [source], **size},
    )
    commands = list_commands()
    assert commands.keys() == FORBIDDEN.keys()
    returned_imports = {
        stage: sorted(FORBIDDEN[stage] & run_and_list_imports(command, pipeline_workspace))
        for stage, command in commands.items()
    }
    assert returned_imports == {stage: [] for stage in FORBIDDEN}
