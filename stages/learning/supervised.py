"""Supervised tuning by TRL, set up so that equal inputs give equal bytes."""

import csv
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stages.chat import IGNORED, Example
from stages.errors import Refusal
from stages.params import Fraction, NaturalInt, PositiveFloat, PositiveInt, Precision, Rate, Section


class Lora(Section):
    """Low-rank adapters (Hu et al., 2021)."""

    r: PositiveInt
    """Rank."""
    alpha: PositiveInt
    """Scale: the update is multiplied by alpha / r."""
    dropout: Rate
    target_modules: Annotated[list[str], Field(min_length=1)]
    """Names of linear layers, or `all-linear` alone."""

    @model_validator(mode="after")
    def _all_alone(self) -> "Lora":
        if "all-linear" in self.target_modules and len(self.target_modules) > 1:
            raise ValueError("target_modules: all-linear stands alone; remove the other names")
        return self


class Train(Section):
    """Which parameters are tuned, on how much, how fast."""

    strategy: Literal["full", "lora"]
    lora: Lora
    """Read where strategy is lora."""
    epochs: PositiveFloat
    batch_size: PositiveInt
    """Rows of one forward pass."""
    accumulation_steps: PositiveInt
    """Forward passes of one optimizer step."""
    learning_rate: PositiveFloat
    """Peak, after warm-up."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"]
    warmup_fraction: Rate
    """Share of all steps, below 1, in which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: PositiveFloat
    """Gradients are clipped to this 2-norm."""
    precision: Precision
    """Of the arithmetic; trained weights are kept in 32 bits."""
    group_by_length: bool
    """Put rows of like length into one batch: less padding, faster."""
    max_length: PositiveInt
    """Tokens of a row; longer ones are cut on the right."""
    max_dropped_fraction: Fraction
    """More rows than this share without any answer left is an error."""
    log_steps: PositiveInt
    """Optimizer steps between two lines of log.csv."""
    evaluation_steps: NaturalInt
    """Optimizer steps between two validation losses; 0: only at the end."""


def trainer(
    model: Any,
    tokenizer: Any,
    train: list[Example],
    validation: list[Example],
    chosen: Train,
    seed: int,
    device: str,
    scratch: Path,
) -> Any:
    """A TRL trainer that stops on divergence and whose evaluation draws no random numbers.

    On a CPU, where TRL computes the logits of prompts and padding too, it keeps to the answers'.
    """
    from datasets import Dataset
    from transformers import TrainerCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    class StopOnDivergence(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            refuse_divergence(kwargs["logs"], state.global_step)

    class Trainer(SFTTrainer):
        def evaluate(self, *args: Any, **kwargs: Any) -> Any:
            with _same_random_numbers():
                return super().evaluate(*args, **kwargs)

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            plain = not return_outputs and not self.aux_loss_enabled
            if device == "cpu" and plain and self.accelerator.num_processes == 1:
                return answer_loss(model, inputs, num_items_in_batch)
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def rows(examples: list[Example]) -> Any:
        return Dataset.from_list([{"input_ids": e.input_ids, "labels": e.labels} for e in examples])

    config = SFTConfig(
        output_dir=str(scratch),
        num_train_epochs=chosen.epochs,
        per_device_train_batch_size=chosen.batch_size,
        per_device_eval_batch_size=4 * chosen.batch_size,
        gradient_accumulation_steps=chosen.accumulation_steps,
        learning_rate=chosen.learning_rate,
        lr_scheduler_type=chosen.schedule,
        warmup_steps=chosen.warmup_fraction,
        weight_decay=chosen.weight_decay,
        max_grad_norm=chosen.max_grad_norm,
        bf16=chosen.precision == "bf16",
        train_sampling_strategy="group_by_length" if chosen.group_by_length else "random",
        max_length=None,
        activation_checkpointing=False,
        logging_steps=chosen.log_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if chosen.evaluation_steps else "no",
        eval_steps=chosen.evaluation_steps or None,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=device == "cpu",
        seed=seed,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    set_seed(seed)
    return Trainer(
        model=model,
        args=config,
        train_dataset=rows(train),
        eval_dataset=rows(validation),
        processing_class=tokenizer,
        peft_config=_lora(chosen.lora, model) if chosen.strategy == "lora" else None,
        callbacks=[StopOnDivergence()],
    )


def answer_loss(model: Any, inputs: dict[str, Any], tokens: Any) -> Any:
    """The mean loss of the answer tokens of a batch (rows, longest), in nats.

    `tokens` is their number in all batches of the optimizer step; None: in this batch.
    """
    import torch.nn.functional as F

    labels = inputs["labels"][:, 1:]
    learnt = labels != IGNORED
    places = learnt.any(dim=0).nonzero().squeeze(1)
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**rest, use_cache=False, logits_to_keep=places).logits
    total = F.cross_entropy(
        logits.float().flatten(0, 1),
        labels[:, places].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
    return total / (learnt.sum().clamp(min=1) if tokens is None else tokens)


def refuse_divergence(logs: dict[str, Any], step: int) -> None:
    """Raise at the first loss or gradient norm that is not a finite number.

    And at a gradient of exactly 0: where activations overflow, a norm layer divides by infinity,
    and a ruined model answers evenly, with a finite loss, for ever.
    """
    for name in ("loss", "grad_norm", "eval_loss"):
        if name in logs and not math.isfinite(float(logs[name])):
            raise Refusal(
                f"training diverged: {name} {logs[name]} at step {step}; "
                "lower train.learning_rate or raise train.warmup_fraction"
            )
    if float(logs.get("grad_norm", 1.0)) == 0.0:
        raise Refusal(
            f"training diverged: no gradient is left at step {step}; lower train.learning_rate"
        )


def write_log(history: list[dict[str, Any]], path: Path) -> None:
    """log.csv: a row for each optimizer step that was logged or evaluated."""
    columns = {
        "loss": "loss",
        "eval_loss": "validation_loss",
        "learning_rate": "learning_rate",
        "grad_norm": "grad_norm",
    }
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        row["epoch"] = round(entry["epoch"], 4)
        row.update({name: f"{entry[key]:.6g}" for key, name in columns.items() if key in entry})
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["step", "epoch", *columns.values()], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[step] for step in sorted(rows))


def _lora(chosen: Lora, model: Any) -> Any:
    from peft import LoraConfig

    targets = chosen.target_modules
    return LoraConfig(
        r=chosen.r,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules="all-linear" if targets == ["all-linear"] else _known(targets, model),
        task_type="CAUSAL_LM",
    )


def _known(targets: list[str], model: Any) -> list[str]:
    """The targets, if the model has a linear layer of each name: PEFT asks for one of them only."""
    import torch

    layers = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in layers):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            raise Refusal(
                f"params.yaml: train.lora.target_modules: the base has no linear layer {target}; "
                f"it has {known}"
            )
    return targets


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Evaluation draws from the global generators; training must not notice."""
    import random

    import numpy as np
    import torch

    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
