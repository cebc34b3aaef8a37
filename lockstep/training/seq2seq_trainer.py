"""Trainer of the objective sft for sequence-to-sequence models. Imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import get_peft_model
from transformers import Seq2SeqTrainer, Trainer

from lockstep.inference import seq2seq_likelihood
from lockstep.models.seq2seq import Pair
from lockstep.training.weighted_loss_trainer import WeightedLossTrainer


class Seq2SeqSupervisedTrainer(WeightedLossTrainer, Seq2SeqTrainer):
    """transformers' Seq2SeqTrainer, with weights of tasks or rows in its loss."""

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the weighted mean loss of the targets in the batch."""
        tasks = inputs.pop("tasks", None)
        if self._get_rank_allocator():  # AdaLoRA adds its regularization to the model's own loss
            return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        losses = self.compute_token_losses(model, inputs, self.args.label_smoothing_factor)
        return self.sum_losses(losses, inputs, tasks, num_items_in_batch)

    def compute_token_losses(self, model: Any, inputs: Any, smoothing: float = 0.0) -> Any:
        """Return the loss of each target token in nats: (rows, tokens)."""
        return seq2seq_likelihood.compute_target_losses(model, inputs, smoothing)

    def get_loss_labels(self, inputs: Any) -> Any:
        """Return the labels that the loss can cover: all of them."""
        return inputs["labels"]


@dataclass(frozen=True, slots=True)
class PairCollator:
    """A collator that pads pairs of source and target, and collects the task of each row."""

    model: Any
    """The model, which shifts labels to the right for its decoder."""

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the padded batch of these rows, with the index of each row's task in `tasks`."""
        pairs = [Pair(row["input_ids"], row["labels"], truncated=False) for row in rows]
        batch = seq2seq_likelihood.build_inputs(self.model, pairs)
        if "task" in rows[0]:
            batch["tasks"] = torch.tensor([row["task"] for row in rows])
        return batch


def build_seq2seq_trainer(common: dict[str, Any], adapter_config: Any) -> Seq2SeqSupervisedTrainer:
    """Return the trainer; `common` are its arguments, `adapter_config` is PEFT's, if any."""
    collator = PairCollator(common["model"])
    if adapter_config is not None:
        common["model"] = get_peft_model(common["model"], adapter_config)
    return Seq2SeqSupervisedTrainer(**common, data_collator=collator)
