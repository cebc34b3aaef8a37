"""The trainer of each objective: TRL's or transformers', made to resume. Imports torch."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import DataCollatorWithPadding, set_seed
from trl import DPOTrainer, GRPOTrainer, KTOTrainer, RewardTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.grpo_trainer import RepeatSampler

from lockstep.errors import UserError
from lockstep.models import chat
from lockstep.models.chat import IGNORE_INDEX
from lockstep.training import adapters, loss_weighting, rewards
from lockstep.training.resumption import Resumable
from lockstep.training.supervised import Collator, Supervised
from lockstep.training.train_params import Train
from lockstep.training.training_plan import Plan
from lockstep.training.training_rows import Rows


class Ready(Resumable):
    """Takes rows as they are: chat.py has made the tokens."""

    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        return dataset


class DirectPreference(Ready, DPOTrainer):
    """DPO and its loss variants (Rafailov et al., 2023)."""


class Desirability(Ready, KTOTrainer):
    """KTO (Ethayarajh et al., 2024)."""


class RewardModel(Ready, RewardTrainer):
    """Pairwise reward model (Bradley and Terry, 1952)."""


class _Tokenized(Resumable):
    """TRL's ORPO and CPO tokenize row by row; ours have their tokens already."""

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        prompt = feature["prompt_ids"]
        row = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for name in ("chosen", "rejected"):
            answer = feature[f"{name}_ids"]
            row[f"{name}_input_ids"] = prompt + answer
            row[f"{name}_attention_mask"] = [1] * (len(prompt) + len(answer))
            row[f"{name}_labels"] = [IGNORE_INDEX] * len(prompt) + answer
        return row


class OddsRatio(_Tokenized, ORPOTrainer):
    """ORPO (Hong, Lee and Thorne, 2024)."""


class SimplePreference(_Tokenized, CPOTrainer):
    """SimPO (Meng, Xia and Chen, 2024), a loss of TRL's CPO trainer."""


class GroupRelative(Resumable, GRPOTrainer):
    """GRPO (Shao et al., 2024); prompts are rendered by chat.py."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        theirs: Any = GRPOTrainer._get_train_sampler(self, train_dataset)
        self.sampler = _Repeated(theirs, self.args.seed)
        return self.sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        return GRPOTrainer._get_eval_sampler(self, eval_dataset)

    def _tokenize_prompts(self, prompts: list[str]) -> Any:
        asked = [json.loads(prompt) for prompt in prompts]
        tokenizer = self.processing_class
        ids = [chat.encode_prompt(tokenizer, one["messages"], one["tools"]) for one in asked]
        return ids, None, {}


class _Repeated(RepeatSampler):
    """TRL's sampler, whose order depends on seed and epoch alone: a resumed run finds it again."""

    def __init__(self, theirs: RepeatSampler, seed: int) -> None:
        vars(self).update(vars(theirs))
        self.first_seed = seed

    def set_epoch(self, epoch: int) -> None:
        self.generator.manual_seed(self.first_seed + epoch)


class Head(Resumable):
    """transformers' own trainer: classification and regression."""


def build(model: Any, plan: Plan) -> Resumable:
    """The trainer of the objective, ready but for `prepare_to_resume`.

    The adapter is made here, after the seed is set. Raises UserError where a library does not take
    what it is asked for.
    """
    try:
        return _build(model, plan)
    except (ValueError, NotImplementedError, IndexError) as error:
        raise UserError(f"params.yaml: train, strategies: {' '.join(str(error).split())}") from None


def _build(model: Any, plan: Plan) -> Resumable:
    chosen, config, adapter = plan.chosen, plan.config, plan.adapter
    model.config.pad_token_id = plan.tokenizer.pad_token_id  # a head reads the token before it
    adapters.prepare(model, chosen, plan.strategies, adapter, plan.steps)
    set_seed(config.seed)
    if config.torch_compile:
        torch.use_deterministic_algorithms(True)  # the compiler's choices as well
    common = {
        "model": model,
        "args": config,
        "train_dataset": _dataset(plan.train, chosen, plan.train.tasks),
        "eval_dataset": _dataset(plan.validation, chosen, plan.train.tasks),
        "processing_class": plan.tokenizer,
    }
    trainer: Resumable
    match chosen.objective:
        case "sft":
            trainer = _supervised(common, adapter, plan)
        case "dpo":
            trainer = DirectPreference(**common, peft_config=adapter)
        case "kto":
            trainer = Desirability(**common, peft_config=adapter)
        case "orpo":
            trainer = OddsRatio(**common, peft_config=adapter)
        case "simpo":
            trainer = SimplePreference(**common, peft_config=adapter)
        case "reward":
            trainer = RewardModel(**common, peft_config=adapter)
        case "grpo":
            config.reward_weights = [reward.weight for reward in chosen.grpo.rewards]
            functions: Any = [rewards.FUNCTIONS[reward.kind] for reward in chosen.grpo.rewards]
            trainer = GroupRelative(**common, peft_config=adapter, reward_funcs=functions)
        case _:
            trainer = _head(common, adapter, chosen)
    if adapters.changes_base(adapter):
        adapters.save_start(trainer.model, Path(config.output_dir) / "start")
    if plan.head or chosen.strategy == "qlora":
        _widen_trained(trainer.model)
    if plan.ratio is not None:
        kind, options = trainer.get_optimizer_cls_and_kwargs(config, trainer.model)
        trainer.optimizer = create_loraplus_optimizer(
            trainer.model, kind, loraplus_lr_ratio=plan.ratio,
            loraplus_weight_decay=config.weight_decay, **options,
        )  # fmt: skip
    return trainer


def _widen_trained(model: Any) -> None:
    """Keep what is trained in 32 bits: new heads and qlora's adapters come in the base's 16."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _supervised(common: dict[str, Any], adapter: Any, plan: Plan) -> Supervised:
    """TRL refuses an adapter on the output layer, which its loss goes around and ours does not.
    Trained tokens are rows of that layer where it shares its matrix with the embeddings."""
    tokens = plan.chosen.strategy == "trainable_tokens"
    apart = Collator(pad_token_id=plan.tokenizer.pad_token_id)
    if plan.chosen.batching == "packed":
        common["train_dataset"] = plan.packed(common["train_dataset"])
    else:
        common["data_collator"] = apart
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`label_smoothing_factor` is deprecated")
        trainer = Supervised(**common, peft_config=None if tokens else adapter)
    trainer.apart = apart
    if tokens:
        trainer.model = trainer.model_wrapped = get_peft_model(trainer.model, adapter)
        trainer.ours = True
    weights = loss_weighting.choose(
        plan.chosen.sft.weighting, plan.train.tasks, plan.chosen.sft.task_weights
    )
    if weights is not None:
        if trainer.aux_loss_enabled:
            raise UserError(
                "params.yaml: train.sft: the base balances its experts by a loss of its own, which "
                "task weights do not know; leave them out"
            )
        trainer.task_weights = weights.to(plan.config.device)
    return trainer


def _head(common: dict[str, Any], adapter: Any, chosen: Train) -> Head:
    if adapter is not None:
        common["model"] = get_peft_model(common["model"], adapter)
    measure: Callable[[Any], dict[str, float]] = (
        _squared_error if chosen.objective == "regression" else _accuracy
    )
    collator = DataCollatorWithPadding(common["processing_class"])
    trainer = Head(**common, data_collator=collator, compute_metrics=measure)
    if trainer.model.config.problem_type != "single_label_classification":
        trainer.model_accepts_loss_kwargs = False  # their loss is a mean over the rows at hand
    return trainer


def _accuracy(prediction: Any) -> dict[str, float]:
    """Share of rows whose labels are all right."""
    scores, labels = prediction.predictions, prediction.label_ids
    if labels.ndim == 1:
        return {"accuracy": float((scores.argmax(-1) == labels).mean())}
    return {"accuracy": float(((scores > 0) == (labels > 0)).all(-1).mean())}


def _squared_error(prediction: Any) -> dict[str, float]:
    error = np.squeeze(prediction.predictions) - prediction.label_ids
    return {"mean_squared_error": float((error**2).mean())}


def _dataset(rows: Rows, chosen: Train, tasks: Sequence[str]) -> Any:
    """`tasks` are those of the training rows, which number them; others count as the first."""
    values = [dict(row.values) for row in rows.rows]
    if chosen.objective == "sft" and (chosen.sft.task_weights or chosen.sft.weighting != "fixed"):
        for row, value in zip(rows.rows, values, strict=True):
            value["task"] = tasks.index(row.task) if row.task in tasks else 0
    if chosen.objective == "kto":  # answers of other prompts, for the divergence from the base
        half = len(values) // 2
        for place, value in enumerate(values):
            room = max(1, chosen.max_length - len(value["prompt_ids"]))
            value["KL_completion_ids"] = values[place - half]["completion_ids"][:room]
    return Dataset.from_list(values)
