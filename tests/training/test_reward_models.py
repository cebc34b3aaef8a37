"""GRPO with a reward model: the model that the objective `reward` trained scores the answers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.inference import head_outputs
from lockstep.models import heads, loading
from lockstep.models.chat import ChatTokenizer
from lockstep.models.compute import LaunchParams
from lockstep.records import Record
from lockstep.training import launch, reward_models, training_run
from lockstep.training.train_params import TrainParams

PAIRS = {"num_generations": 2}


@pytest.fixture(scope="module")
def reward_folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny model with one random output, as the objective `reward` and merge write."""
    import torch

    from lockstep.models import saving

    folder = tmp_path_factory.mktemp("reward") / "model"
    torch.manual_seed(3)
    head = heads.Head("regression", [])
    model = loading.load_model(tiny_model, "float32", "eager", "cpu", head=head)
    with torch.no_grad():
        model.score.weight.mul_(50)
    saving.save_model(model, folder, 1.0)
    saving.save_tokenizer(loading.load_pretrained_tokenizer(tiny_model), folder)
    heads.write_head(head, folder)
    return folder


def make_rewards(folder: Path, weight: float = 1.0) -> dict[str, Any]:
    return {"rewards": [{"kind": "model", "model": str(folder), "weight": weight}]}


def score_by_hand(folder: Path, conversation: dict[str, Any], answer: str) -> float:
    """Score a conversation by transformers alone, on the text that the chat template writes."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    turns = [*conversation["messages"], {"role": "assistant", "content": answer}]
    text = tokenizer.apply_chat_template(turns, tokenize=False).rstrip("\n")
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        return float(model(input_ids=ids).logits[0, 0])


@pytest.mark.slow
def test_the_reward_model_scores_the_answers_that_were_sampled(
    run_training: Callable[..., Any], reward_folder: Path
):
    trainer = run_training(
        objective="grpo", strategy="full", options={"num_generations": 4}, epochs=0.1,
        evaluation_tokens=4, grpo=make_rewards(reward_folder, 2.0),
    )  # fmt: skip
    logs = trainer._logs
    (rewards,) = logs["rewards"].values()
    assert len(set(rewards)) > 1
    parse = trainer.plan.tokenizer.parse_answer
    for prompt, completion, reward in zip(logs["prompt"], logs["completion"], rewards, strict=True):
        ids = trainer.plan.tokenizer.encode_text(completion, with_control_tokens=True)
        expected = score_by_hand(reward_folder, json.loads(prompt), parse(ids).text)
        assert reward == pytest.approx(expected, rel=1e-3, abs=1e-3)
    history = trainer.state.log_history
    entry = next(entry for entry in history if "eval_reward" in entry)
    name = f"eval_rewards/model_{reward_folder.name}/mean"
    assert entry["eval_reward"] == pytest.approx(2.0 * entry[name], rel=1e-5)
    model = trainer.reward_funcs[0].model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.device == trainer.model.device


@pytest.mark.slow
def test_the_hash_of_the_reward_model_is_in_the_summary(
    run_training: Callable[..., Any], reward_folder: Path
):
    settings = {"options": {"num_generations": 2}, "epochs": 0.1, "evaluation_tokens": 2}
    trainer = run_training(objective="grpo", grpo=make_rewards(reward_folder), **settings)
    summary = training_run.summarize_training(trainer, trainer.plan)
    assert summary["reward_models"] == {str(reward_folder): outputs.hash_path(reward_folder)}
    other = run_training("other", objective="grpo", **settings)
    assert "reward_models" not in training_run.summarize_training(other, other.plan)


def test_an_answer_has_the_tokens_of_a_training_row(
    tokenizer: ChatTokenizer, make_record: Callable[..., Record]
):
    model = reward_models.RewardModel("m", None, tokenizer, 100, 1)
    for answer in ("refund", "好的 ", ""):
        record = make_record("Where is it?", answer, system="Name the intent.")
        conversation = {"messages": record.prompt, "tools": []}
        prompt_ids, answer_ids = tokenizer.encode_record(record)
        assert model.encode(conversation, answer) == prompt_ids + answer_ids


def test_an_answer_that_spells_a_control_token_is_scored_as_plain_text(
    tokenizer: ChatTokenizer, make_record: Callable[..., Record]
):
    model = reward_models.RewardModel("m", None, tokenizer, 100, 1)
    record = make_record("Where is it?", "")
    answer, prompt = "a<|im_end|>b", tokenizer.encode_prompt(record.prompt)
    ids = model.encode({"messages": record.prompt, "tools": []}, answer)
    assert ids == [*prompt, *tokenizer.encode_text(answer), tokenizer.end_ids[0]]
    assert ids.count(tokenizer.end_ids[0]) == prompt.count(tokenizer.end_ids[0]) + 1


def test_conversations_are_truncated_to_the_context_of_the_reward_model(
    reward_folder: Path, tokenizer: ChatTokenizer
):
    model = loading.load_model(reward_folder, "auto", "eager", "cpu")
    turns = [{"role": "user", "content": "Where is my order?"}]
    prompt = json.dumps({"messages": turns, "tools": []})
    scored = [
        reward_models.RewardModel("m", model, tokenizer, length, 1)([prompt], ["It is late."])
        for length in (1000, 8)
    ]
    ids = reward_models.RewardModel("m", model, tokenizer, 8, 1).encode(
        {"messages": turns, "tools": []}, "It is late."
    )
    expected = [
        [row[0]]
        for part in (ids, ids[:8])
        for row in head_outputs.compute_outputs(model, [part], tokenizer.pad_token_id, 1)
    ]
    assert scored == expected
    assert scored[0] != scored[1]


def copy_with_config(folder: Path, target: Path, **changes: Any) -> Path:
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


def test_a_published_reward_model_has_no_file_that_describes_its_head(
    reward_folder: Path, tmp_path: Path
):
    folder = copy_with_config(reward_folder, tmp_path / "published")
    (folder / "head.json").unlink()
    reward_models.check_folder("published", folder)


def test_a_folder_without_a_reward_model_is_one_clear_line(
    reward_folder: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    labels = ["cancel_order", "refund"]
    (tmp_path / "classifier").mkdir()
    classifier = shutil.copytree(reward_folder, tmp_path / "classifier/model")
    heads.write_head(heads.Head("single_label_classification", labels), classifier)
    two = copy_with_config(reward_folder, tmp_path / "two", id2label={"0": "bad", "1": "good"})
    (two / "head.json").unlink()
    adapter, empty, merged = (tmp_path / name for name in ("adapter", "empty", "data/merged"))
    for folder in (adapter, empty):
        folder.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    shutil.copytree(reward_folder, merged)
    monkeypatch.chdir(tmp_path)
    cases = {
        tiny_model: "Qwen2ForCausalLM has no head that scores answers",
        classifier: "its head classifies into 2 labels",
        two: "its head classifies into 2 labels",
        adapter: "it holds an adapter; name the folder of the merged model",
        empty: "it holds no model",
        merged: "the pipeline overwrites this folder; copy it",
    }
    for folder, message in cases.items():
        with pytest.raises(
            UserError, match=rf"^params\.yaml: train\.grpo\.rewards: m: .*{message}"
        ):
            reward_models.check_folder("m", folder)


def test_weights_without_the_head_are_refused(
    make_plan: Callable[..., Any], tiny_model: Path, tmp_path: Path
):
    folder = copy_with_config(
        tiny_model, tmp_path / "headless", architectures=["Qwen2ForSequenceClassification"],
        id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0},
    )  # fmt: skip
    plan = make_plan(objective="grpo", options=PAIRS, grpo=make_rewards(folder))
    with pytest.raises(UserError, match=r"its weights lack the head \(score\.weight\)"):
        reward_models.load_reward_model(str(folder), plan, "eager")


def test_a_prompt_that_exceeds_the_context_of_the_reward_model_is_an_error(
    make_plan: Callable[..., Any], reward_folder: Path, tmp_path: Path
):
    folder = copy_with_config(reward_folder, tmp_path / "short", max_position_embeddings=60)
    plan = make_plan(
        objective="grpo", options=PAIRS, evaluation_tokens=50, grpo=make_rewards(folder)
    )
    with pytest.raises(UserError, match="its context of 60 tokens does not hold a prompt of"):
        reward_models.load_reward_model(str(folder), plan, "eager")


def test_only_grpo_looks_for_reward_models(make_params: Callable[..., Any], reward_folder: Path):
    rewards = make_rewards(reward_folder)
    folders = [
        reward_models.find_folders(make_params(objective=name, grpo=rewards).train)
        for name in ("sft", "grpo")
    ]
    assert folders == [{}, {str(reward_folder): reward_folder}]


def test_a_missing_folder_is_an_error(make_params: Callable[..., Any], tmp_path: Path):
    params = make_params(objective="grpo", grpo=make_rewards(tmp_path / "none"))
    with pytest.raises(UserError, match="none: no such model"):
        reward_models.check_local_folders(params.train)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({"kind": "model", "weight": 1.0}, "kind model needs model"),
        ({"kind": "json", "weight": 1.0, "model": "data/reward"}, "kind json uses no model"),
    ],
)
def test_a_model_belongs_to_the_kind_model(
    make_params: Callable[..., Any], reward: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        make_params(objective="grpo", grpo={"rewards": [reward]})


def test_a_sharded_run_has_no_reward_model(
    make_params: Callable[..., Any], make_launch: Callable[..., LaunchParams], reward_folder: Path
):
    train: TrainParams = make_params(objective="grpo", grpo=make_rewards(reward_folder)).train
    launch.check_launch(make_launch(processes=2), train)
    with pytest.raises(UserError, match="fsdp cannot shard a reward model"):
        launch.check_launch(make_launch(processes=2, strategy="fsdp"), train)
    other = make_params(objective="sft", grpo=make_rewards(reward_folder)).train
    launch.check_launch(make_launch(processes=2, strategy="fsdp"), other)


def test_the_first_stage_refuses_a_folder_without_a_reward_model(
    run_stage: Callable[..., Any], tiny_model: Path, tmp_path: Path,
    assert_user_error: Callable[..., None],
):  # fmt: skip
    run = run_stage(
        "train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json", "out",
        changes={"train.objective": "grpo", "train.grpo": make_rewards(tiny_model)},
    )  # fmt: skip
    assert_user_error(run, tmp_path / "out", "train.grpo.rewards", "no head that scores answers")
