"""Trainers of the objectives, from TRL and transformers, made resumable. Imports torch."""

import copy
import re
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
from trl import DPOTrainer, KTOTrainer, RewardTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from lockstep.errors import UserError
from lockstep.models.chat import IGNORE_INDEX, ChatTokenizer
from lockstep.training import (
    adapters,
    loss_weighting,
    merge_check,
    packing_check,
    target_modules,
)
from lockstep.training.grpo_trainer import build_grpo_trainer
from lockstep.training.resumable_trainer import ResumableTrainer
from lockstep.training.seq2seq_trainer import build_seq2seq_trainer
from lockstep.training.supervised_trainer import SupervisedTrainer, TaskCollator
from lockstep.training.train_params import TRAINED_WEIGHTINGS, TrainParams
from lockstep.training.training_plan import Plan
from lockstep.training.training_rows import Rows
from lockstep.training.weighted_loss_trainer import WeightedLossTrainer


class TokenizedTrainer(ResumableTrainer):
    """Base of trainers whose rows have token ids already, so TRL must not tokenize them."""

    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        return dataset


class DpoTrainer(TokenizedTrainer, DPOTrainer):
    """DPO and the variants of its loss (Rafailov et al., 2023)."""


class KtoTrainer(TokenizedTrainer, KTOTrainer):
    """KTO (Ethayarajh et al., 2024)."""


class RewardModelTrainer(TokenizedTrainer, RewardTrainer):
    """Pairwise reward model (Bradley and Terry, 1952)."""


class PairTrainer(ResumableTrainer):
    """Base of the trainers of ORPO and CPO, which tokenize row by row.

    The rows have token ids already, so `tokenize_row` only renames them.
    """

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        """Return the columns that TRL's tokenization would return."""
        prompt = feature["prompt_ids"]
        row = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for name in ("chosen", "rejected"):
            answer = feature[f"{name}_ids"]
            row[f"{name}_input_ids"] = prompt + answer
            row[f"{name}_attention_mask"] = [1] * (len(prompt) + len(answer))
            row[f"{name}_labels"] = [IGNORE_INDEX] * len(prompt) + answer
        return row


class OrpoTrainer(PairTrainer, ORPOTrainer):
    """ORPO (Hong, Lee and Thorne, 2024)."""


class SimpoTrainer(PairTrainer, CPOTrainer):
    """SimPO (Meng, Xia and Chen, 2024), a loss of TRL's CPO trainer."""


class HeadTrainer(ResumableTrainer):
    """transformers' Trainer for classification and regression."""


def build_trainer(model: Any, plan: Plan) -> ResumableTrainer:
    """Return the trainer of the objective with its adapter; call `prepare_to_resume` next.

    Raise UserError if a library refuses a setting.
    """
    try:
        return _build_trainer(model, plan)
    except (ValueError, NotImplementedError, IndexError, re.error) as error:
        params, reason = plan.params, " ".join(str(error).split())
        raise UserError(
            f"params.yaml: train: {params.objective} with strategy {params.strategy}: {reason}"
        ) from None


def _build_trainer(model: Any, plan: Plan) -> ResumableTrainer:
    params, config, adapter_config = plan.params, plan.trainer_config, plan.adapter_config
    model.config.pad_token_id = plan.tokenizer.pad_token_id  # a head reads the token before padding
    adapters.prepare_model(model, params, adapter_config, plan.steps)
    set_seed(config.seed)  # the adapter is initialized at random below
    if config.torch_compile:
        torch.use_deterministic_algorithms(True)  # includes the compiler's choice of kernels
    common = {
        "model": model,
        "args": config,
        "train_dataset": _build_dataset(plan.train_rows, params, plan.train_rows.tasks),
        "eval_dataset": _build_dataset(plan.validation_rows, params, plan.train_rows.tasks),
        "processing_class": _copy_pretrained(plan.tokenizer),
    }
    trainer: ResumableTrainer
    match params.objective:
        case "sft":
            trainer = _build_supervised_trainer(common, plan)
            _set_loss_weights(trainer, plan)
        case "dpo":
            trainer = DpoTrainer(**common, peft_config=adapter_config)
        case "kto":
            trainer = KtoTrainer(**common, peft_config=adapter_config)
        case "orpo":
            trainer = OrpoTrainer(**common, peft_config=adapter_config)
        case "simpo":
            trainer = SimpoTrainer(**common, peft_config=adapter_config)
        case "reward":
            trainer = RewardModelTrainer(**common, peft_config=adapter_config)
        case "grpo":
            trainer = build_grpo_trainer(common, plan)
        case _:
            trainer = _build_head_trainer(common, plan)
    if adapter_config is not None and not adapter_config.is_prompt_learning:
        merge_check.check_mergeable(trainer.model, adapter_config)
        if getattr(adapter_config, "target_parameters", None):
            target_modules.forget_unadapted_parameters(trainer.model)
    if adapters.changes_base_weights(adapter_config):
        adapters.save_initial_adapter(trainer.model, Path(config.output_dir) / "start")
    if plan.head or params.strategy == "qlora":
        _convert_trained_to_float32(trainer.model)
    if plan.lora_plus_ratio is not None:
        optimizer_class, options = trainer.get_optimizer_cls_and_kwargs(config, trainer.model)
        trainer.optimizer = create_loraplus_optimizer(
            trainer.model,
            optimizer_class,
            loraplus_lr_ratio=plan.lora_plus_ratio,
            loraplus_weight_decay=config.weight_decay,
            **options,
        )
    return trainer


def _copy_pretrained(tokenizer: ChatTokenizer) -> Any:
    """Return a copy of the tokenizer that has a padding token, as TRL needs; TRL may change it."""
    pretrained = copy.deepcopy(tokenizer.pretrained)
    pretrained.pad_token_id = tokenizer.pad_token_id
    return pretrained


def _convert_trained_to_float32(model: Any) -> None:
    """Keep trained parameters in 32 bits; new heads and qlora's adapters start in 16."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _build_supervised_trainer(common: dict[str, Any], plan: Plan) -> WeightedLossTrainer:
    """Return the trainer of sft for the kind of the base.

    With tied embeddings, trainable_tokens adapts the output layer as well. TRL refuses that,
    because its loss bypasses the layer, so the adapter is added here and the loss computed here.
    """
    if plan.is_seq2seq:
        return build_seq2seq_trainer(common, plan.adapter_config)
    params, adapts_output = plan.params, plan.params.strategy == "trainable_tokens"
    collator = TaskCollator(pad_token_id=plan.tokenizer.pad_token_id)
    if params.batching == "packed":
        common["train_dataset"] = plan.pack(common["train_dataset"])
    else:
        common["data_collator"] = collator
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`label_smoothing_factor` is deprecated")
        trainer = SupervisedTrainer(
            **common, peft_config=None if adapts_output else plan.adapter_config
        )
    trainer.padding_collator = collator
    if adapts_output:
        trainer.model = trainer.model_wrapped = get_peft_model(trainer.model, plan.adapter_config)
        trainer.computes_loss_on_gpu = True
    if params.batching == "packed":
        packing_check.check_packing(trainer, plan)
    return trainer


def _set_loss_weights(trainer: WeightedLossTrainer, plan: Plan) -> None:
    """Set the weights of tasks or rows that `train.sft` chooses."""
    params = plan.params
    task_weights = loss_weighting.create_task_weights(
        params.sft.weighting, plan.train_rows.tasks, params.sft.task_weights
    )
    if task_weights is not None:
        trainer.task_weights = task_weights.to(plan.trainer_config.device)
    trainer.weighs_rows_equally = params.sft.weighting == "rows"
    weighs = task_weights is not None or trainer.weighs_rows_equally
    if weighs and getattr(trainer, "aux_loss_enabled", False):
        raise UserError(
            "params.yaml: train.sft: the base has a loss of its own that balances its experts, "
            "which weights of tasks or rows cannot be combined with; leave them out"
        )


def _build_head_trainer(common: dict[str, Any], plan: Plan) -> HeadTrainer:
    if plan.adapter_config is not None:
        common["model"] = get_peft_model(common["model"], plan.adapter_config)
    is_regression = plan.params.objective == "regression"
    compute_metrics: Callable[[Any], dict[str, float]] = (
        _compute_squared_error if is_regression else _compute_accuracy
    )
    collator = DataCollatorWithPadding(common["processing_class"])
    trainer = HeadTrainer(
        **common,
        data_collator=collator,
        compute_metrics=compute_metrics,
        preprocess_logits_for_metrics=_select_head_outputs,
    )
    if trainer.model.config.problem_type != "single_label_classification":
        trainer.model_accepts_loss_kwargs = False  # the model's loss is a mean over its own rows
    return trainer


def _select_head_outputs(outputs: Any, labels: Any) -> Any:
    """Return the outputs of the head; T5 and BART return the states of their encoder as well."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def _compute_accuracy(prediction: Any) -> dict[str, float]:
    """Return the share of rows whose labels are all predicted correctly."""
    scores, labels = prediction.predictions, prediction.label_ids
    if labels.ndim == 1:
        return {"accuracy": float((scores.argmax(-1) == labels).mean())}
    return {"accuracy": float(((scores > 0) == (labels > 0)).all(-1).mean())}


def _compute_squared_error(prediction: Any) -> dict[str, float]:
    error = np.squeeze(prediction.predictions) - prediction.label_ids
    return {"mean_squared_error": float((error**2).mean())}


def _build_dataset(rows: Rows, params: TrainParams, tasks: Sequence[str]) -> Any:
    """Return the rows as a dataset.

    `tasks` are the tasks of the training rows; a task weight is found by the index of its task.
    Other tasks occur in validation only, where weights do not count; they get index 0.
    """
    values = [dict(row.values) for row in rows.rows]
    has_task_weights = params.sft.task_weights or params.sft.weighting in TRAINED_WEIGHTINGS
    if params.objective == "sft" and has_task_weights:
        for row, value in zip(rows.rows, values, strict=True):
            value["task"] = tasks.index(row.task) if row.task in tasks else 0
    if any("margin" in value for value in values):  # TRL's collator takes all margins or none
        for value in values:
            value.setdefault("margin", 0.0)
    if params.objective == "kto":  # TRL estimates the KL divergence from answers to other prompts
        half = len(values) // 2
        for index, value in enumerate(values):
            room = max(1, params.max_length - len(value["prompt_ids"]))
            value["KL_completion_ids"] = values[index - half]["completion_ids"][:room]
    return Dataset.from_list(values)
