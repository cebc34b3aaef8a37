"""Each recipe is valid and trains a small random model of its architecture."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lockstep.cli.params_check import check_parameters
from lockstep.models import seq2seq
from lockstep.recipe import list_recipes, merge_recipe
from lockstep.records import Record
from lockstep.training import interruption, trainer_arguments, trainers
from lockstep.training.checkpoints import Checkpoints
from lockstep.training.training_plan import Params, plan_training
from lockstep.training.training_run import load_model
from tests.conftest import LABELS, REPOSITORY, write_random_model

PARAMS_FILE = REPOSITORY / "params.yaml"


def merge_into_params(name: str) -> str:
    """Return params.yaml of the repository with a recipe merged."""
    recipe = REPOSITORY / f"recipes/{name}.yaml"
    return merge_recipe(PARAMS_FILE.read_text(encoding="utf-8"), recipe.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_is_valid_and_keeps_the_comments(name: str, tmp_path: Path):
    file = tmp_path / "params.yaml"
    file.write_text(merge_into_params(name), encoding="utf-8")
    check_parameters(file)
    comments = [
        re.findall(r"#.*", part)
        for part in (PARAMS_FILE.read_text(encoding="utf-8"), merge_into_params(name))
    ]
    remaining = sum(comment in comments[1] for comment in comments[0])
    assert remaining > 0.8 * len(comments[0])
    recipe = YAML(typ="safe").load(REPOSITORY / f"recipes/{name}.yaml")
    base = YAML(typ="safe").load(merge_into_params(name))["base"]
    assert {key: base[key] for key in recipe["base"]} == recipe["base"]


def test_merging_a_value_that_is_already_set_changes_nothing():
    real = PARAMS_FILE.read_text(encoding="utf-8")
    assert merge_recipe(real, "seed: 7\ntrain: {objective: sft}") == real


def test_the_command_writes_params_yaml_or_nothing(tmp_path: Path):
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS_FILE.read_text(encoding="utf-8"), encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lockstep.recipe", *arguments],
            cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        )  # fmt: skip

    wrong = run("qwen")
    assert wrong.returncode == 2
    assert "recipes: encoder-intent, " in wrong.stderr
    assert file.read_text(encoding="utf-8") == PARAMS_FILE.read_text(encoding="utf-8")
    result = run("prompt-tuning")
    assert result.returncode == 0, result.stderr
    assert file.read_text(encoding="utf-8") == merge_into_params("prompt-tuning")
    file.write_text("seed: 7\n")
    failed_result = run("prompt-tuning")
    assert failed_result.returncode == 2
    assert failed_result.stderr.startswith("error: params.yaml: compute: missing")
    assert file.read_text() == "seed: 7\n"
    values = PARAMS_FILE.read_text(encoding="utf-8").replace(
        "suites: []", "suites: [{task: slots, answer: json}]"
    )
    file.write_text(values, encoding="utf-8")
    contradiction = run("encoder-intent")
    assert contradiction.returncode == 2
    assert contradiction.stderr.startswith(
        "error: params.yaml with recipes/encoder-intent.yaml: predict.suites: "
    )
    assert file.read_text(encoding="utf-8") == values


def test_options_of_libraries_are_replaced_as_a_whole():
    """The adapter of the default strategy must not be mixed with that of the recipe's strategy."""
    real = (
        "train:\n  strategy: lora\n  adapter: {r: 16, lora_alpha: 32}  # options\n  epochs: 4.0\n"
    )
    recipe = "train:\n  strategy: prompt\n  adapter: {num_virtual_tokens: 20}\n"
    train = YAML(typ="safe").load(merge_recipe(real, recipe))["train"]
    assert train == {"strategy": "prompt", "adapter": {"num_virtual_tokens": 20}, "epochs": 4.0}


def test_a_key_that_params_yaml_leaves_out_is_added_to_its_section():
    real = """\
# train: train
train:
  epochs: 4.0

# a comment within the section
  log_steps: 20  # steps

# merge: merge
merge: {}
seed: 7
"""
    recipe = "train:\n  epochs: 2.0\n  dropout: {a: 0.1}\nmerge:\n  tolerance: 0.5\n"
    assert (
        merge_recipe(real, recipe)
        == """\
# train: train
train:
  epochs: 2.0

# a comment within the section
  log_steps: 20  # steps
  dropout: {a: 0.1}

# merge: merge
merge:
  tolerance: 0.5
seed: 7
"""
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_trains_its_architecture(
    name: str, tmp_path: Path, tiny_model: Path, corpus: list[Record]
):
    values = YAML(typ="safe", pure=True).load(merge_into_params(name))
    values["train"]["warmup"] = 0.1  # the run is shorter than the recipe's warm-up
    settings = Params.model_validate({section: values[section] for section in Params.model_fields})
    params, base = settings.train, tmp_path / "base"
    write_random_model(values["base"]["id"].lower(), base, tiny_model)
    rows = corpus
    if params.objective == "dpo":
        rows = [dataclasses.replace(row, rejected="no") for row in corpus]
    if params.objective == "classification":
        rows = [row for row in corpus if row.task == "intent"]
    config = trainer_arguments.build_trainer_config(
        params, 7, "cpu", tmp_path, is_seq2seq=seq2seq.is_seq2seq(base)
    )
    plan = plan_training(base, rows, rows, {"intent": LABELS}, settings, config)
    (tmp_path / "run").mkdir()
    trainer = trainers.build_trainer(load_model(base, settings, plan.head, "cpu"), plan)
    checkpoints = Checkpoints(tmp_path / "run", 0, 1)
    trainer.prepare_to_resume(checkpoints, interruption.Interruption(), plan)
    trainer.train_to_end()
    assert trainer.state.global_step == plan.steps > 0
    trainer.save_result(tmp_path / "out", 1.0)
    assert list((tmp_path / "out").glob("*.safetensors"))
