"""The supervised loss: answers alone, each task weighted. Imports torch."""

from typing import Any

import torch
import torch.nn.functional as F
from transformers import Trainer
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from lockstep.models.chat import IGNORE_INDEX
from lockstep.training.loss_weighting import TaskWeights
from lockstep.training.resumption import Resumable


class Collator(DataCollatorForLanguageModeling):
    """TRL's, which pads; keeps the task of each row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        if "task" in examples[0]:
            batch["tasks"] = torch.tensor([example["task"] for example in examples])
        return batch


class Supervised(Resumable, SFTTrainer):
    """TRL's trainer; on a CPU, or with weighted tasks, it computes the answers' logits alone.

    TRL computes those of prompts and padding too where it has no Triton kernel.
    """

    task_weights: TaskWeights | None = None
    apart: Collator
    """Pads rows side by side."""
    ours = False
    """Whether the loss is computed here on a GPU as well."""

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        tasks = inputs.pop("tasks", None)
        if self._rank_allocator():  # its regularization is added to the model's own loss
            return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        plain = not return_outputs and not self.aux_loss_enabled and self.args.loss_type == "nll"
        smoothing = self.args.label_smoothing_factor  # TRL needs a second forward pass for it
        if not plain or not (self.args.use_cpu or self.task_weights or self.ours or smoothing):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        losses = answer_losses(model, inputs, smoothing)
        if num_items_in_batch is None:
            tokens = (inputs["labels"][:, 1:] != IGNORE_INDEX).sum().clamp(min=1)
        else:
            tokens = num_items_in_batch / self.accelerator.num_processes
        total = losses.sum() if self.task_weights is None else self.task_weights(losses, tasks)
        return total / tokens

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The loss is the mean over answer tokens; the library's is over batches, however they
        fall. Neither task weights nor smoothing count, so that recipes can be compared by it."""
        self.total = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(*args, **kwargs)
        loss, tokens = self.total.tolist()
        output.metrics["eval_loss"] = loss / tokens
        return output

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        inputs = self._prepare_inputs(inputs)
        inputs.pop("tasks", None)
        with torch.no_grad(), self.compute_loss_context_manager():
            losses = answer_losses(model, inputs).sum(1)
        tokens = (inputs["labels"][:, 1:] != IGNORE_INDEX).sum(1)
        rows = torch.stack([losses, tokens], dim=1)
        # accelerate fills up the last batch of several processes, and takes that away again here
        self.total += self.accelerator.gather_for_metrics(rows).double().sum(0).cpu()
        return losses.sum() / tokens.sum(), None, None

    def create_optimizer(self, model: Any = None) -> Any:
        optimizer = super().create_optimizer(model)
        if self.task_weights is not None and (learnt := [*self.task_weights.parameters()]):
            optimizer.add_param_group({"params": learnt, "weight_decay": 0.0})
        return optimizer

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Rows apart, also where training packs them: processes are to count each once."""
        packing, self.data_collator = self.data_collator, self.apart
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = packing

    def finish_step(self) -> None:
        super().finish_step()
        if self.task_weights is not None:
            self.task_weights.zero_grad()  # the library clears the gradients of the model alone

    def start_next_epoch(self) -> None:
        if self.task_weights is not None:
            self.task_weights.end_epoch()

    def method_state(self) -> dict[str, Any]:
        weights = self.task_weights
        own = {"task_weights": weights.state_dict()} if weights is not None else {}
        return {**super().method_state(), **own}

    def load_method_state(self, state: dict[str, Any]) -> None:
        super().load_method_state(state)
        if self.task_weights is not None:
            self.task_weights.load_state_dict(state["task_weights"])


def answer_losses(model: Any, inputs: dict[str, Any], smoothing: float = 0.0) -> Any:
    """The loss of each answer token, in nats: a tensor (rows, places where a row learns).

    It is 0 where the row itself learns nothing at that place. `smoothing` is the probability
    that the target spreads over the whole vocabulary (Szegedy et al., 2016).
    """
    labels = inputs["labels"][:, 1:]
    places = (labels != IGNORE_INDEX).any(dim=0).nonzero().squeeze(1)
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    from_end = places - inputs["labels"].shape[1]  # a soft prompt makes the front longer
    logits = model(**rest, use_cache=False, logits_to_keep=from_end).logits
    flat = F.cross_entropy(
        logits.float().flatten(0, 1),
        labels[:, places].flatten(),
        ignore_index=IGNORE_INDEX,
        reduction="none",
        label_smoothing=smoothing,
    )
    return flat.view(len(labels), -1)
