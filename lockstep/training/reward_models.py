"""Reward models of GRPO: models with one output that score a whole conversation.

The objective `reward` trains them. An answer is scored as the same tokens that a training row of
that objective would have. TRL's own way to take a model as a reward joins prompt and answer as
text, without the tools; so the model is given to TRL as a function.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import auxiliary_models
from lockstep.inference import head_outputs
from lockstep.models import context, heads, loading
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.records import Record
from lockstep.training.train_params import TrainParams
from lockstep.training.training_plan import Plan

_REWARD_HEAD = Head("regression", [])
"""Head that the objective `reward` trains: one number."""
_WHERE = "params.yaml: train.grpo.rewards:"
_OVERWRITTEN = ("data/base", "data/trained", "data/merged", "data/quantized")
"""Folders that the pipeline writes anew whenever it trains."""


class RewardModel:
    """A reward model with its tokenizer; TRL calls it like any other reward function."""

    def __init__(
        self, name: str, model: Any, tokenizer: ChatTokenizer, max_length: int, batch_size: int
    ) -> None:
        """Take a model in eval mode; conversations are truncated to `max_length` tokens."""
        self.__name__ = name  # TRL logs the reward under this name
        self.model, self.tokenizer = model, tokenizer
        self.max_length, self.batch_size = max_length, batch_size

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], **columns: Any
    ) -> list[float | None]:
        """Return the output of the model for each answer; a prompt is a conversation as JSON."""
        rows = [
            self.encode(json.loads(prompt), answer)[: self.max_length]
            for prompt, answer in zip(prompts, completions, strict=True)
        ]
        outputs_by_row = head_outputs.compute_outputs(
            self.model, rows, self.tokenizer.pad_token_id, self.batch_size
        )
        return [row[0] for row in outputs_by_row]

    def encode(self, conversation: dict[str, Any], answer: str) -> list[int]:
        """Return the ids of a conversation with an answer, as a training row would have them.

        If the template refuses the generated answer, for example since it spells a control token,
        the answer's plain text follows the prompt.
        """
        messages, tools = conversation["messages"], conversation["tools"]
        turns = [*messages, {"role": "assistant", "content": answer}]
        record = Record(messages=turns, tools=tools, task="", source="", origin="")
        try:
            prompt_ids, answer_ids = self.tokenizer.encode_record(record)
        except UserError:
            prompt_ids = self.tokenizer.encode_prompt(messages, tools)
            answer_ids = [*self.tokenizer.encode_text(answer), self.tokenizer.end_ids[0]]
        return prompt_ids + answer_ids


def find_folders(params: TrainParams) -> dict[str, Path]:
    """Return {name in params.yaml: folder} of the reward models that a run uses.

    A model on the hub is downloaded. Raise UserError if a folder holds no reward model.
    """
    if params.objective != "grpo":
        return {}
    names = [reward.model for reward in params.grpo.rewards if reward.kind == "model"]
    folders = {name: auxiliary_models.resolve_model(name) for name in names}
    for name, folder in folders.items():
        check_folder(name, folder)
    return folders


def check_local_folders(params: TrainParams) -> None:
    """Raise UserError if a folder in params.yaml holds no reward model; download nothing."""
    for reward in params.grpo.rewards:
        if reward.kind == "model" and not auxiliary_models.is_hub_name(reward.model):
            check_folder(reward.model, auxiliary_models.resolve_model(reward.model))


def hash_folders(folders: dict[str, Path]) -> dict[str, str]:
    """Return {name: SHA-256 of all files}, which summary.json keeps."""
    return {name: outputs.hash_path(folder) for name, folder in folders.items()}


def check_folder(name: str, folder: Path) -> None:
    """Raise UserError, without loading weights, if a folder holds no reward model."""
    written = [Path(path).resolve() for path in _OVERWRITTEN]
    if not {folder.resolve(), *folder.resolve().parents}.isdisjoint(written):
        raise UserError(
            f"{_WHERE} {name}: the pipeline overwrites this folder; copy it, for example to "
            "data/reward, and name the copy"
        )
    if (folder / "adapter_config.json").exists():
        raise UserError(
            f"{_WHERE} {name}: it holds an adapter; name the folder of the merged model"
        )
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"{_WHERE} {name}: it holds no model (no config.json); name a folder such as a copy of "
            "data/merged"
        )
    config, head = outputs.read_json(path), heads.read_head(folder)
    architecture = ", ".join(config.get("architectures") or ["unknown"])
    if head is None and "ForSequenceClassification" not in architecture:
        raise UserError(
            f"{_WHERE} {name}: its architecture {architecture} has no head that scores answers; "
            "train a model with objective reward, and name its merged folder"
        )
    labels = head.labels if head else config.get("id2label") or ["", ""]  # two are the default
    if len(labels) > 1 or (head and head.problem != "regression"):
        raise UserError(
            f"{_WHERE} {name}: its head classifies into {len(labels)} labels; a reward model has "
            "one output: train it with objective reward"
        )


def load_reward_model(name: str, plan: Plan, attention: str) -> RewardModel:
    """Load a reward model in eval mode onto the device of the training.

    Raise UserError if its head was never trained, or if a prompt of the run does not fit.
    """
    folder, config = auxiliary_models.resolve_model(name), plan.trainer_config
    check_folder(name, folder)
    model = loading.load_model(
        folder, "auto", attention, str(config.device), head=_REWARD_HEAD
    ).requires_grad_(False)
    if model.new_parameters:
        raise UserError(
            f"{_WHERE} {name}: its weights lack the head ({model.new_parameters[0]}); train it "
            "with objective reward"
        )
    tokenizer = loading.load_tokenizer(folder)
    model.config.pad_token_id = tokenizer.pad_token_id  # the head reads the token before padding
    limit = context.read_context(model.config)
    reward_model = RewardModel(
        f"model_{Path(name).name}",
        model,
        tokenizer,
        limit or 2**31,
        config.per_device_train_batch_size,
    )
    _check_prompts(name, reward_model, plan, math.inf if limit is None else limit)
    return reward_model


def _check_prompts(name: str, reward_model: RewardModel, plan: Plan, limit: float) -> None:
    """Raise UserError if the longest prompt with an answer exceeds the reward model's context."""
    prompts = [
        json.loads(row.values["prompt"])
        for rows in (plan.train_rows, plan.validation_rows)
        for row in rows.rows
    ]
    tokenizer = reward_model.tokenizer
    longest = max(len(tokenizer.encode_prompt(p["messages"], p["tools"])) for p in prompts)
    if longest + plan.params.evaluation_tokens > limit:
        raise UserError(
            f"{_WHERE} {name}: its context of {limit} tokens does not hold a prompt of {longest} "
            f"with an answer of {plan.params.evaluation_tokens}; lower train.max_length or "
            "train.evaluation_tokens"
        )
