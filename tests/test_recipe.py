"""Each recipe is valid, and trains a small random model of its own architecture."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lockstep.cli.params_check import check_parameters
from lockstep.recipe import merged, names
from lockstep.records import Record
from lockstep.training import interruption, trainer_arguments, trainers
from lockstep.training.checkpoints import Run
from lockstep.training.training_plan import draw_up
from stages.train import Params, load
from tests.conftest import LABELS, REPOSITORY, architecture

REAL = REPOSITORY / "params.yaml"


def text(name: str) -> str:
    recipe = REPOSITORY / f"recipes/{name}.yaml"
    return merged(REAL.read_text(encoding="utf-8"), recipe.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_valid_and_keeps_the_comments(name: str, tmp_path: Path):
    file = tmp_path / "params.yaml"
    file.write_text(text(name), encoding="utf-8")
    check_parameters(file)
    comments = [re.findall(r"#.*", part) for part in (REAL.read_text(encoding="utf-8"), text(name))]
    kept = sum(comment in comments[1] for comment in comments[0])
    assert kept > 0.8 * len(comments[0])
    recipe = YAML(typ="safe").load(REPOSITORY / f"recipes/{name}.yaml")
    base = YAML(typ="safe").load(text(name))["base"]
    assert {key: base[key] for key in recipe["base"]} == recipe["base"]


def test_nothing_merged_changes_nothing():
    real = REAL.read_text(encoding="utf-8")
    assert merged(real, "seed: 7") == real


def test_the_command_writes_params_yaml_or_nothing(tmp_path: Path):
    file = tmp_path / "params.yaml"
    file.write_text(REAL.read_text(encoding="utf-8"), encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lockstep.recipe", *arguments],
            cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        )  # fmt: skip

    wrong = run("qwen")
    assert wrong.returncode == 2
    assert "there are encoder-intent, " in wrong.stderr
    assert file.read_text(encoding="utf-8") == REAL.read_text(encoding="utf-8")
    done = run("prompt-tuning")
    assert done.returncode == 0, done.stderr
    assert file.read_text(encoding="utf-8") == text("prompt-tuning")
    file.write_text("seed: 7\n")
    broken = run("prompt-tuning")
    assert broken.returncode == 2
    assert broken.stderr.startswith("error: base: params.yaml has no such key")
    assert file.read_text() == "seed: 7\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_a_recipe_trains_its_architecture(
    name: str, tmp_path: Path, tiny: Path, corpus: list[Record]
):
    values = YAML(typ="safe", pure=True).load(text(name))
    values["train"]["warmup"] = 0.1  # of a run so short
    chosen = Params.model_validate({part: values[part] for part in Params.model_fields})
    architecture(values["base"]["id"].lower(), tmp_path / "base", tiny)
    rows = corpus
    if chosen.train.objective == "dpo":
        rows = [dataclasses.replace(row, rejected="no") for row in corpus]
    if chosen.train.objective == "classification":
        rows = [row for row in corpus if row.task == "intent"]
    config = trainer_arguments.build(chosen.train, 7, "cpu", tmp_path)
    plan = draw_up(
        tmp_path / "base", rows, rows, {"intent": LABELS}, chosen.train, chosen.strategies, config
    )
    (tmp_path / "run").mkdir()
    trainer = trainers.build(load(tmp_path / "base", chosen, plan.head, "cpu"), plan)
    trainer.prepare_to_resume(Run(tmp_path / "run", 0, 1), interruption.Interruption(), plan)
    trainer.train_to_end()
    assert trainer.state.global_step == plan.steps > 0
    trainer.save_result(tmp_path / "out", 1.0)
    assert list((tmp_path / "out").glob("*.safetensors"))
