"""Base of the trainers of sft: token losses with weights of tasks or rows. Imports torch."""

from typing import Any

import torch

from lockstep.models.chat import IGNORE_INDEX
from lockstep.training.loss_weighting import TaskWeights
from lockstep.training.resumable_trainer import ResumableTrainer


class WeightedLossTrainer(ResumableTrainer):
    """A trainer that sums token losses with weights, and evaluates without them.

    Subclasses compute the token losses of a batch and say which labels are in the loss.
    """

    task_weights: TaskWeights | None = None
    weighs_rows_equally = False
    """Whether each row counts equally in the loss, however long its answer."""

    def compute_token_losses(self, model: Any, inputs: Any, smoothing: float = 0.0) -> Any:
        """Return the loss of each answer token in nats: (rows, positions), 0 where there is none.

        `smoothing` is the factor of label smoothing.
        """
        raise NotImplementedError

    def get_loss_labels(self, inputs: Any) -> Any:
        """Return the labels that the loss can cover: (rows, positions)."""
        raise NotImplementedError

    def sum_losses(self, losses: Any, inputs: Any, tasks: Any, num_items_in_batch: Any) -> Any:
        """Return the mean loss over the answer tokens of the batch, weighted by task.

        With `weighs_rows_equally` it is the mean over the rows of each row's mean loss, weighted by
        task.
        """
        row_tokens = self._count_answer_tokens(inputs)
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
        self,
        model: Any,
        inputs: Any,
        prediction_loss_only: bool,
        ignore_keys: Any = None,
        **gen_kwargs: Any,
    ) -> Any:
        """Add loss and number of answer tokens of a batch to the sums of the evaluation."""
        inputs = self._prepare_inputs(inputs)
        inputs.pop("tasks", None)
        with torch.no_grad(), self.compute_loss_context_manager():
            losses = self.compute_token_losses(model, inputs).sum(1)
        tokens = self._count_answer_tokens(inputs)
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

    def _count_answer_tokens(self, inputs: Any) -> Any:
        """Return the number of tokens of each row in the loss: (rows,)."""
        return (self.get_loss_labels(inputs) != IGNORE_INDEX).sum(1)
