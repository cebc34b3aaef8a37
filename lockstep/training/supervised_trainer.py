"""Trainer of the objective sft for causal models: the loss of answers alone. Imports torch."""

from typing import Any

import torch
from transformers import Trainer
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from lockstep.inference import likelihood
from lockstep.training.weighted_loss_trainer import WeightedLossTrainer


class TaskCollator(DataCollatorForLanguageModeling):
    """TRL's padding collator, which also collects the task of each row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the padded batch, with the index of each row's task in `tasks`."""
        batch = super().torch_call(examples)
        if "task" in examples[0]:
            batch["tasks"] = torch.tensor([example["task"] for example in examples])
        return batch


class SupervisedTrainer(WeightedLossTrainer, SFTTrainer):
    """TRL's SFTTrainer, which computes the logits of answers only where that is possible.

    On a CPU, and with weights of tasks or rows or label smoothing, the loss is computed here. TRL
    would compute the logits of prompts and padding as well, since it has no Triton kernel there.
    """

    padding_collator: TaskCollator
    """Collator that pads rows instead of packing them."""
    computes_loss_on_gpu = False
    """Whether the loss is computed here on a GPU as well."""

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the weighted mean loss of the answers in the batch."""
        tasks = inputs.pop("tasks", None)
        if self._get_rank_allocator():  # AdaLoRA adds its regularization to the model's own loss
            return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        smoothing = self.args.label_smoothing_factor  # TRL needs a second forward pass for it
        if return_outputs or not self._computes_answer_loss(smoothing):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        losses = self.compute_token_losses(model, inputs, smoothing)
        return self.sum_losses(losses, inputs, tasks, num_items_in_batch)

    def compute_token_losses(self, model: Any, inputs: Any, smoothing: float = 0.0) -> Any:
        """Return the loss of each answer token in nats: (rows, positions)."""
        return likelihood.compute_token_losses(model, inputs, smoothing)

    def get_loss_labels(self, inputs: Any) -> Any:
        """Return the labels that the loss can cover: all but the first, which nothing predicts."""
        return inputs["labels"][:, 1:]

    def _computes_answer_loss(self, smoothing: float) -> bool:
        """Whether the loss is computed here and not by TRL."""
        if self.aux_loss_enabled or self.args.loss_type != "nll":
            return False
        return bool(
            self.args.use_cpu
            or self.task_weights
            or self.weighs_rows_equally
            or self.computes_loss_on_gpu
            or smoothing
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return validation batches that are never packed, so each row counts once."""
        collator, self.data_collator = self.data_collator, self.padding_collator
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = collator
