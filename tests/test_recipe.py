"""Each recipe is valid and trains a small random model of its architecture."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import stages.base
from lockstep.cli.params_check import check_parameters
from lockstep.data import source_reading
from lockstep.data.prepare_params import PrepareParams
from lockstep.models import compute, seq2seq
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
    assert "recipes: chinese-roberta-intent, " in wrong.stderr
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


ARTICLES: dict[str, dict[str, Any]] = {
    "gpt2-medium-full": {
        "strategy": "full", "learning_rate": 3e-5, "warmup": 500, "schedule": "cosine",
        "max_grad_norm": 1.0, "evaluation_steps": 500,
    },
    "full-8gpu-fsdp": {"strategy": "full", "learning_rate": 3e-5, "warmup": 500},
    "qwen2-1.5b-laboratory-lora": {"strategy": "lora", "learning_rate": 1e-4, "warmup": 200},
    "gemma-3-1b-lora": {"strategy": "lora", "learning_rate": 1e-4, "warmup": 200},
    "llama-3.2-1b-lora": {"strategy": "lora", "learning_rate": 1e-4, "warmup": 200},
    "qwen2.5-0.5b-lora": {"strategy": "lora", "learning_rate": 1e-4, "warmup": 200},
    "qwen3-8b-lora": {"strategy": "lora", "learning_rate": 1e-4, "warmup": 200},
    "qwen2.5-7b-qlora": {
        "strategy": "qlora", "learning_rate": 2e-4, "batch_size": 2, "accumulation_steps": 4,
        "warmup": 0.03, "epochs": 2.0, "max_length": 2048, "log_steps": 25, "schedule": "cosine",
        "max_grad_norm": 1.0, "optimizer": "paged_adamw_8bit",
        "adapter": {
            "r": 64, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": "all-linear",
            "double_quantization": True,
        },
    },
    "encoder-intent": {
        "objective": "classification", "learning_rate": 2e-5, "batch_size": 32, "epochs": 3.0,
        "dropout": {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
        "early_stopping": {"patience": 3, "metric": "accuracy"}, "weight_decay": 0.01,
    },
}  # fmt: skip
"""Values of the section `train` that published articles recommend, by recipe."""
ARTICLES["chinese-roberta-intent"] = ARTICLES["encoder-intent"]
ROWS_PER_STEP = {"full": range(8, 17), "lora": range(32, 65), "qlora": range(8, 9)}
"""Rows of an optimizer step that the articles recommend, by strategy."""


@pytest.mark.parametrize("name", ARTICLES)
def test_a_recipe_has_the_values_of_its_article(name: str):
    values = YAML(typ="safe", pure=True).load(merge_into_params(name))
    train = values["train"]
    assert {key: train[key] for key in ARTICLES[name]} == ARTICLES[name]
    if train["objective"] == "sft":
        assert train["batch_size"] * train["accumulation_steps"] in ROWS_PER_STEP[train["strategy"]]
    if train["strategy"] == "qlora":
        assert values["runtime"]["checkpoint_steps"] == "epoch"


def test_the_laboratory_recipe_reads_the_rows_of_the_documentation(tmp_path: Path):
    page = (REPOSITORY / "docs/getting-started.md").read_text(encoding="utf-8")
    (rows,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    values = YAML(typ="safe", pure=True).load(merge_into_params("qwen2-1.5b-laboratory-lora"))
    params = PrepareParams.model_validate(values["prepare"])
    (tmp_path / "laboratory.jsonl").write_text(rows, encoding="utf-8")
    table, converted, _ = source_reading.read_sources(tmp_path, params, 7)
    assert (len(table), converted.rejected) == (2, [])
    system, question, answer = table.load_record(0).messages
    assert system["content"].startswith("You are an expert in laboratory medicine.")
    assert question["content"].endswith("MCV 71 fL (reference 80 to 100)")
    assert answer["content"].startswith("Your haemoglobin is low")


@pytest.mark.slow
@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_trains_its_architecture(
    name: str,
    tmp_path: Path,
    tiny_model: Path,
    corpus: list[Record],
    monkeypatch: pytest.MonkeyPatch,
):
    """The stage `base` takes the small model as it takes the recipe's, and it is trained."""
    values = YAML(typ="safe", pure=True).load(merge_into_params(name))
    values["train"]["warmup"] = 0.1  # the run is shorter than the recipe's warm-up
    values["base"] |= {"source": "path", "path": "published"}
    write_random_model(values["base"]["id"].lower(), tmp_path / "published", tiny_model)
    monkeypatch.chdir(tmp_path)
    with Path("params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    stages.base.main.main(["published", "base"], standalone_mode=False)
    settings = Params.model_validate({section: values[section] for section in Params.model_fields})
    params, base = settings.train, tmp_path / "base"
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
    checkpoints = Checkpoints(tmp_path / "run", compute.read_runtime().checkpoint_steps, 1)
    trainer.prepare_to_resume(checkpoints, interruption.Interruption(), plan)
    trainer.train_to_end()
    assert trainer.state.global_step == plan.steps > 0
    trainer.save_result(tmp_path / "out", 1.0)
    assert list((tmp_path / "out").glob("*.safetensors"))
