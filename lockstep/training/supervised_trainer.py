"""Trainer of the objective sft: the loss of answers alone, with weights. Imports torch."""

from typing import Any

import torch
from transformers import Trainer
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from lockstep.inference.likelihood import compute_token_losses
from lockstep.models.chat import IGNORE_INDEX
from lockstep.training.loss_weighting import TaskWeights
from lockstep.training.resumable_trainer import ResumableTrainer


class TaskCollator(DataCollatorForLanguageModeling):
    """TRL's padding collator, which also collects the task of each row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the padded batch, with the index of each row's task in `tasks`."""
        batch = super().torch_call(examples)
        if "task" in examples[0]:
            batch["tasks"] = torch.tensor([example["task"] for example in examples])
        return batch


class SupervisedTrainer(ResumableTrainer, SFTTrainer):
    """TRL's SFTTrainer, which computes the logits of answers only where that is possible.

    On a CPU, and with weights of tasks or rows or label smoothing, the loss is computed here. TRL
    would compute the logits of prompts and padding as well, since it has no Triton kernel there.
    """

    task_weights: TaskWeights | None = None
    padding_collator: TaskCollator
    """Collator that pads rows instead of packing them."""
    computes_loss_on_gpu = False
    """Whether the loss is computed here on a GPU as well."""
    weighs_rows_equally = False
    """Whether each row counts equally in the loss, however long its answer."""

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean loss over the answer tokens of the batch, weighted by task.

        With `weighs_rows_equally` it is the mean over the rows of each row's mean loss, weighted by
        task.
        """
        tasks = inputs.pop("tasks", None)
        if self._get_rank_allocator():  # AdaLoRA adds its regularization to the model's own loss
            return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        smoothing = self.args.label_smoothing_factor  # TRL needs a second forward pass for it
        if return_outputs or not self._computes_answer_loss(smoothing):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        losses = compute_token_losses(model, inputs, smoothing)
        row_tokens = (inputs["labels"][:, 1:] != IGNORE_INDEX).sum(1)
        if self.weighs_rows_equally:
            losses = losses / row_tokens.clamp(min=1)[:, None]
            # the library divides by the number of passes only if it does not count the tokens
            passes = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
            count = len(losses) * passes
        elif num_items_in_batch is None:
            count = row_tokens.sum().clamp(min=1)
        else:
            count = num_items_in_batch / self.accelerator.num_processes
        total = losses.sum() if self.task_weights is None else self.task_weights(losses, tasks)
        return total / count

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

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate with the mean loss over all answer tokens; the library averages over batches.

        Task weights and label smoothing do not count, so that settings can be compared.
        """
        self.evaluation_sums = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(*args, **kwargs)
        loss, tokens = self.evaluation_sums.tolist()
        output.metrics["eval_loss"] = loss / tokens
        return output

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        """Add loss and number of answer tokens of a batch to the sums of the evaluation."""
        inputs = self._prepare_inputs(inputs)
        inputs.pop("tasks", None)
        with torch.no_grad(), self.compute_loss_context_manager():
            losses = compute_token_losses(model, inputs).sum(1)
        tokens = (inputs["labels"][:, 1:] != IGNORE_INDEX).sum(1)
        rows = torch.stack([losses, tokens], dim=1)
        # accelerate pads the last batch of several processes; gather_for_metrics undoes that
        self.evaluation_sums += self.accelerator.gather_for_metrics(rows).double().sum(0).cpu()
        return losses.sum() / tokens.sum(), None, None

    def create_optimizer(self, model: Any = None) -> Any:
        """Return the optimizer of the model and of trained task weights."""
        optimizer = super().create_optimizer(model)
        if self.task_weights is not None and (trained := [*self.task_weights.parameters()]):
            optimizer.add_param_group({"params": trained, "weight_decay": 0.0})
        return optimizer

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return validation batches that are never packed, so each row counts once."""
        collator, self.data_collator = self.data_collator, self.padding_collator
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = collator

    def finish_step(self) -> None:
        """Clear the gradients of the task weights; the library clears those of the model."""
        super().finish_step()
        if self.task_weights is not None:
            self.task_weights.zero_grad()

    def start_next_epoch(self) -> None:
        """Update the task weights between two epochs."""
        if self.task_weights is not None:
            self.task_weights.end_epoch()

    def get_method_state(self) -> dict[str, Any]:
        """Return the state of the method, with that of the task weights."""
        state = super().get_method_state()
        if self.task_weights is not None:
            state["task_weights"] = self.task_weights.state_dict()
        return state

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Restore the state of the method, with that of the task weights."""
        super().load_method_state(state)
        if self.task_weights is not None:
            self.task_weights.load_state_dict(state["task_weights"])
