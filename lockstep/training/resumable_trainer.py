"""transformers' Trainer, extended so that a resumed run ends in the same bytes. Imports torch."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer
from transformers.trainer_pt_utils import get_length_grouped_indices

from lockstep.models import heads, saving
from lockstep.training import launch, training_log
from lockstep.training.checkpoints import Checkpoints
from lockstep.training.interruption import Interruption
from lockstep.training.step_callback import StepCallback
from lockstep.training.training_plan import Plan

WEIGHTS, BEST_WEIGHTS, PROGRESS = "trained.safetensors", "best.safetensors", "progress-{}.pt"
"""Files of a checkpoint beside those of transformers; PROGRESS has a number per process."""


class ResumableTrainer(Trainer):
    """A trainer whose checkpoints hold everything that the rest of the run depends on.

    Mix it in before a trainer of transformers or TRL, and call `prepare_to_resume` before
    `train_to_end`. A checkpoint holds what the libraries save and, in addition: the trained
    tensors by name (PEFT's files lack P-tuning's encoder and AdaLoRA's masked ranks), the loss
    since the last log entry, the best weights so far, and the state of the method.
    """

    model: Any
    args: Any

    def prepare_to_resume(
        self, checkpoints: Checkpoints, interruption: Interruption, plan: Plan
    ) -> None:
        """Set where checkpoints are saved and which signals stop the run after saving one."""
        if self.is_deepspeed_enabled != launch.is_deepspeed_worker():
            raise RuntimeError("accelerate left DeepSpeed out")
        self.checkpoints, self.plan = checkpoints, plan
        self.early_stopping = plan.params.early_stopping
        self.lengths = plan.train_rows.lengths if plan.params.batching == "length" else None
        self.best_weights: dict[str, Any] = {}
        self.resumed_from: Path | None = None
        self.remove_callback(PrinterCallback)
        self.add_callback(StepCallback(self, interruption))

    def train_to_end(self) -> None:
        """Train to the end, from the newest intact checkpoint if there is one.

        With early stopping, the model has its best weights afterwards.
        """
        newest = self.checkpoints.find_newest()
        self.resumed_from = next(newest.glob("checkpoint-*")) if newest else None
        self.train(resume_from_checkpoint=str(self.resumed_from) if self.resumed_from else None)
        if optimizer := self._get_averaging_optimizer():
            optimizer.eval()
        if self.best_weights:
            self._load_trained_tensors(self.best_weights)

    def find_result_evaluation(self) -> int:
        """Return the index of the evaluation that measured the final weights: best or last."""
        history = self.state.log_history
        if not self.early_stopping.patience:
            return -1
        return training_log.find_best_evaluation(history, self.early_stopping)

    def is_finished(self) -> bool:
        """Whether training is complete; step and log alone decide, as a resumed run needs."""
        if self.state.global_step >= self.state.max_steps:
            return True
        return training_log.must_stop_early(self.state.log_history, self.early_stopping)

    def save_result(self, folder: Path, max_shard_gb: float) -> None:
        """Write the trained model or adapter, the tokenizer and the description of the head."""
        initial_adapter = Path(self.args.output_dir) / "start"
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        state = self.accelerator.get_state_dict(self.model_wrapped) if sharded else None
        if not self.args.should_save:  # this process only had to contribute its shard
            return
        model = self.accelerator.unwrap_model(self.model_wrapped)
        initial = initial_adapter if initial_adapter.exists() else None
        saving.save_model(model, folder, max_shard_gb, initial, state)
        saving.save_tokenizer(self.plan.tokenizer.pretrained, folder)
        if self.plan.head:
            heads.write_head(self.plan.head, folder)

    def get_method_state(self) -> dict[str, Any]:
        """Return the state that the method keeps beside the weights: tensors and numbers."""
        if allocator := self._get_rank_allocator():
            names = ("ipt", "exp_avg_ipt", "exp_avg_unc")
            return {
                "allocator": {name: getattr(allocator, name) for name in names},
                "rank_pattern": self.model.peft_config["default"].rank_pattern,
            }
        return {}

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `get_method_state` returned."""
        if allocator := self._get_rank_allocator():
            for name, value in state["allocator"].items():
                setattr(allocator, name, value)
            self.model.peft_config["default"].rank_pattern = state["rank_pattern"]

    def finish_step(self) -> None:
        """Update the method after the optimizer's step, before gradients are cleared."""
        if self._get_rank_allocator() and not self.accelerator.optimizer_step_was_skipped:
            self.model.base_model.update_and_allocate(self.state.global_step)

    def start_next_epoch(self) -> None:
        """Update the method between two epochs."""

    def _get_rank_allocator(self) -> Any:
        """Return AdaLoRA's allocator, which moves ranks between matrices by their importance."""
        return getattr(getattr(self.model, "base_model", None), "rankallocator", None)

    # Evaluation must not change the training.

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate without changing weights, optimizer or random numbers; keep the best weights."""
        with keep_random_state(), self._use_averaged_weights():
            metrics = super().evaluate(*args, **kwargs)
            if self.early_stopping.patience:
                history = self.state.log_history
                best = training_log.find_best_evaluation(history, self.early_stopping)
                if best == len(training_log.list_evaluations(history)) - 1:
                    self.best_weights = {
                        name: tensor.detach().cpu().clone()
                        for name, tensor in self._iterate_trained_tensors()
                    }
        return metrics

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as the library does, and add the metrics of the answer sample."""
        output: Any = super().evaluation_loop(*args, **kwargs)
        if self.plan.answer_sample is not None:
            model = self.accelerator.unwrap_model(self.model)
            metrics = self.plan.answer_sample.compute_metrics(model)
            output.metrics.update({f"eval_{name}": value for name, value in metrics.items()})
        return output

    @contextmanager
    def _use_averaged_weights(self) -> Iterator[None]:
        """Evaluate the average of the weights if a schedule-free optimizer keeps one.

        The optimizer itself restores the weights only up to rounding, so they are copied back.
        """
        optimizer = self._get_averaging_optimizer() if self.is_in_train else None
        if optimizer is None:
            yield
            return
        weights = {
            name: tensor.detach().clone() for name, tensor in self._iterate_trained_tensors()
        }
        optimizer.eval()
        yield
        optimizer.train()
        self._load_trained_tensors(weights)

    def _get_averaging_optimizer(self) -> Any:
        """Return the optimizer if it keeps an average of the weights (Defazio et al., 2024)."""
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        return optimizer if callable(getattr(optimizer, "eval", None)) else None

    # The order of rows depends on seed and epoch alone.

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        args: Any = self.args
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        step_rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.sampler: Any = EpochSampler(len(rows), args.seed, self.lengths, step_rows)
        return self.sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """Order rows by length, for less padding; several processes keep the given order."""
        if self.args.world_size > 1:
            return super()._get_eval_sampler(eval_dataset)
        lengths = self.plan.validation_rows.lengths
        return sorted(range(len(lengths)), key=lambda row: -lengths[row])

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Set the sampler's epoch, and train nothing if the run is finished.

        accelerate does not set the epoch of every process when a run resumes within an epoch.
        transformers takes one step too many when a run resumes at its last step.
        """
        self.sampler.set_epoch(kwargs["epoch"])
        if not self.is_finished():
            super()._run_epoch(*args, **kwargs)

    # Checkpoints.

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step, output_dir = self.state.global_step, self.args.output_dir
        partial = self.checkpoints.get_partial_path(step)
        self.args.output_dir = str(partial)
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = output_dir
        folder = partial / f"checkpoint-{step}"
        progress = {
            "loss": self._tr_loss.item(),
            "logged": self._globalstep_last_logged,
            "method": self.get_method_state(),
        }
        torch.save(progress, folder / PROGRESS.format(self.args.process_index))
        if self.best_weights and self.args.should_save:
            save_file(self.best_weights, folder / BEST_WEIGHTS)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.checkpoints.commit(step)
        self.accelerator.wait_for_everyone()

    def load_progress(self) -> None:
        """Restore the state that a checkpoint holds in addition to that of transformers."""
        if self.resumed_from is not None:
            file = self.resumed_from / PROGRESS.format(self.args.process_index)
            progress = torch.load(file, weights_only=True)
            self._tr_loss += progress["loss"]
            self._globalstep_last_logged = progress["logged"]
            self.load_method_state(progress["method"])

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the trained tensors of a checkpoint; sharded models are left to the library."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save and output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            tensors = {name: p.detach().contiguous() for name, p in self._iterate_trained_tensors()}
            save_file(tensors, Path(output_dir) / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._load_trained_tensors(load_file(Path(resume_from_checkpoint) / WEIGHTS))
        best = Path(resume_from_checkpoint) / BEST_WEIGHTS
        self.best_weights = load_file(best) if best.exists() else {}

    def is_true_in_any_process(self, condition: bool) -> bool:
        """Whether the condition holds in any process; all of them must save at the same step."""
        if self.args.world_size == 1:
            return condition
        flag = torch.tensor([float(condition)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def floating_point_ops(self, inputs: Any) -> int:
        """Count no operations; the library would walk all modules in each step to estimate them."""
        return 0

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no model card; TRL would write one into each checkpoint."""

    def _iterate_trained_tensors(self) -> Iterator[tuple[str, Any]]:
        """Yield the tensors that training can change: trained parameters and all buffers."""
        yield from ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)
        yield from self.model.named_buffers()

    def _load_trained_tensors(self, tensors: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, tensor in self._iterate_trained_tensors():
                tensor.copy_(tensors[name])


class EpochSampler(Sampler[int]):
    """Shuffles the rows of an epoch by seed and epoch alone, so a resumed run finds the same order.

    With `lengths`, rows of similar length are grouped, as in transformers' LengthGroupedSampler,
    which yields 50 groups from long to short, then the next 50. Here the groups are shuffled, since
    otherwise training ends on short rows alone and forgets the long ones. The first group has the
    longest row, so that memory runs out at once if at all. `step_rows` is the number of rows of an
    optimizer step, that is of a group.
    """

    def __init__(self, rows: int, seed: int, lengths: Sequence[int] | None, step_rows: int) -> None:
        self.rows, self.seed, self.lengths, self.step_rows = rows, seed, lengths, step_rows
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order is drawn next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.lengths is None:
            yield from torch.randperm(self.rows, generator=generator).tolist()
        else:
            rows = get_length_grouped_indices(self.lengths, self.step_rows, generator=generator)
            first, *others = (
                rows[start : start + self.step_rows]
                for start in range(0, self.rows, self.step_rows)
            )
            full = [group for group in others if len(group) == self.step_rows]
            order = torch.randperm(len(full), generator=generator).tolist()
            incomplete = others[len(full) :]  # the last one, if any
            for group in (first, *(full[index] for index in order), *incomplete):
                yield from group


@contextmanager
def keep_random_state() -> Iterator[None]:
    """Restore the global random number generators at the end of the block."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
