"""transformers' trainer, made to resume to the same bytes. Imports torch."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, Trainer

from lockstep.models import model_io
from lockstep.training import batch_order, early_stopping, steps, training_log
from lockstep.training.checkpoints import Run
from lockstep.training.interruption import Interruption
from lockstep.training.training_plan import Plan

WEIGHTS, BEST, PROGRESS = "trained.safetensors", "best.safetensors", "progress-{}.pt"


class Resumable(Trainer):
    """A trainer whose checkpoints hold all that its future depends on, in whole folders.

    Mixed in before a trainer of transformers or TRL. `prepare_to_resume` comes before `train`.
    What is added to their checkpoints: the trained tensors by name (PEFT's own files lack
    P-tuning's encoder and AdaLoRA's masked ranks), the part of the loss since the last line of
    the log, the best weights so far, and what the method keeps beside the weights.
    """

    model: Any
    args: Any

    def prepare_to_resume(self, run: Run, interruption: Interruption, plan: Plan) -> None:
        """Keep checkpoints in `run`, save one and stop when interrupted."""
        self.run, self.plan, self.stopping = run, plan, plan.chosen.early_stopping
        self.lengths = plan.train.lengths if plan.chosen.batching == "length" else None
        self.best: dict[str, Any] = {}
        self.resumed: Path | None = None
        self.remove_callback(PrinterCallback)
        self.add_callback(steps.Steps(self, interruption))

    def method_state(self) -> dict[str, Any]:
        """What a method keeps beside the weights: tensors and numbers, by name."""
        if allocator := self._rank_allocator():
            names = ("ipt", "exp_avg_ipt", "exp_avg_unc")
            return {
                "allocator": {name: getattr(allocator, name) for name in names},
                "rank_pattern": self.model.peft_config["default"].rank_pattern,
            }
        return {}

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Take back what `method_state` gave."""
        if allocator := self._rank_allocator():
            for name, value in state["allocator"].items():
                setattr(allocator, name, value)
            self.model.peft_config["default"].rank_pattern = state["rank_pattern"]

    def finish_step(self) -> None:
        """What a method does after the optimizer's step, before gradients are cleared."""
        if self._rank_allocator() and not self.accelerator.optimizer_step_was_skipped:
            self.model.base_model.update_and_allocate(self.state.global_step)

    def _rank_allocator(self) -> Any:
        """AdaLoRA's: it moves ranks between matrices by running averages of their importance."""
        return getattr(getattr(self.model, "base_model", None), "rankallocator", None)

    def start_next_epoch(self) -> None:
        """What a method changes between two epochs."""

    def train_to_end(self) -> None:
        """Train to the end, from the newest whole checkpoint on; the best weights are kept."""
        newest = self.run.newest()
        self.resumed = next(newest.glob("checkpoint-*")) if newest else None
        resumed = str(self.resumed) if self.resumed else None
        self.train(resume_from_checkpoint=resumed)
        if optimizer := self._averaging_optimizer():
            optimizer.eval()
        if self.best:
            self._take(self.best)

    def kept_evaluation(self) -> int:
        """Which evaluation is of the weights that are the result: the best, or the last."""
        history = self.state.log_history
        return early_stopping.best(history, self.stopping) if self.stopping.patience else -1

    def finished(self) -> bool:
        """Whether nothing is left to train: decided by the log alone, so also after a resume."""
        at_the_end = self.state.global_step >= self.state.max_steps
        return at_the_end or early_stopping.is_over(self.state.log_history, self.stopping)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Measure, and leave the weights, the optimizer and all random numbers as they were."""
        with _same_random_numbers(), self._averaged():
            figures = super().evaluate(*args, **kwargs)
            if self.stopping.patience:
                history = self.state.log_history
                if (
                    early_stopping.best(history, self.stopping)
                    == len(training_log.evaluations(history)) - 1
                ):
                    self.best = {name: p.detach().cpu().clone() for name, p in self._trained()}
        return figures

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """A schedule-free optimizer moves the weights to their average for an evaluation and, but
        for rounding, back; so they are put back."""
        optimizer = self._averaging_optimizer() if self.is_in_train else None
        if optimizer is None:
            yield
            return
        before = {name: p.detach().clone() for name, p in self._trained()}
        optimizer.eval()
        yield
        optimizer.train()
        self._take(before)

    def _averaging_optimizer(self) -> Any:
        """The optimizer, if it keeps an average of the weights (Defazio et al., 2024)."""
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        return optimizer if callable(getattr(optimizer, "eval", None)) else None

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As the library measures; the sample's answers beside it."""
        output: Any = super().evaluation_loop(*args, **kwargs)
        if self.plan.sample is not None:
            figures = self.plan.sample.figures(self.accelerator.unwrap_model(self.model))
            output.metrics.update({f"eval_{name}": value for name, value in figures.items()})
        return output

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        args: Any = self.args
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.sampler: Any = batch_order.Epochs(len(rows), args.seed, self.lengths, step)
        return self.sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """By length, so that little is padded; in the given order where processes share them."""
        if self.args.world_size > 1:
            return super()._get_eval_sampler(eval_dataset)
        lengths = self.plan.validation.lengths
        return sorted(range(len(lengths)), key=lambda row: -lengths[row])

    def _run_epoch(self, *args: Any, **given: Any) -> None:
        """transformers would take one step more when resumed at the last one, and accelerate does
        not reach the sampler of a process among several when it resumes within an epoch."""
        self.sampler.set_epoch(given["epoch"])
        if not self.finished():
            super()._run_epoch(*args, **given)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step, own = self.state.global_step, self.args.output_dir
        partial = self.run.partial(step)
        self.args.output_dir = str(partial)
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = own
        folder = partial / f"checkpoint-{step}"
        progress = {
            "loss": self._tr_loss.item(),
            "logged": self._globalstep_last_logged,
            "method": self.method_state(),
        }
        torch.save(progress, folder / PROGRESS.format(self.args.process_index))
        if self.best and self.args.should_save:
            save_file(self.best, folder / BEST)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.run.finish(step)
        self.accelerator.wait_for_everyone()

    def load_progress(self) -> None:
        """Take back what a checkpoint holds beside transformers' own state."""
        if self.resumed is not None:
            file = self.resumed / PROGRESS.format(self.args.process_index)
            progress = torch.load(file, weights_only=True)
            self._tr_loss += progress["loss"]
            self._globalstep_last_logged = progress["logged"]
            self.load_method_state(progress["method"])

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save and output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            tensors = {name: p.detach().contiguous() for name, p in self._trained()}
            save_file(tensors, Path(output_dir) / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._take(load_file(Path(resume_from_checkpoint) / WEIGHTS))
        best = Path(resume_from_checkpoint) / BEST
        self.best = load_file(best) if best.exists() else {}

    def anywhere(self, here: bool) -> bool:
        """Whether it is so in any of the processes, which must save at the same step."""
        if self.args.world_size == 1:
            return here
        flag = torch.tensor([float(here)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def save_result(self, folder: Path, max_shard_gb: float) -> None:
        """Write the tuned model or adapter, its tokenizer and what it ends in."""
        start = Path(self.args.output_dir) / "start"
        shared_out = self.is_fsdp_enabled or self.is_deepspeed_enabled
        state = self.accelerator.get_state_dict(self.model_wrapped) if shared_out else None
        if not self.args.should_save:  # its part of the state was all that was wanted
            return
        whole = self.accelerator.unwrap_model(self.model_wrapped)
        model_io.save_model(whole, folder, max_shard_gb, start if start.exists() else None, state)
        model_io.save_tokenizer(self.plan.tokenizer, folder)
        if self.plan.head:
            model_io.write_head(self.plan.head, folder)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL writes one into each checkpoint."""

    def _trained(self) -> Iterator[tuple[str, Any]]:
        """The tensors that training can change: parameters, and buffers for their few bytes."""
        yield from ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)
        yield from self.model.named_buffers()

    def _take(self, tensors: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, tensor in self._trained():
                tensor.copy_(tensors[name])


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Evaluation draws from the global generators; training must not notice."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
