"""params.yaml -> the configuration class of the objective's trainer."""

import difflib
import math
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.training import library_options
from lockstep.training.train_params import Objective, Train

OWNED = {
    **dict.fromkeys(
        (
            "push_to_hub", "hub_model_id", "hub_strategy", "hub_token", "hub_private_repo",
            "hub_always_push", "hub_revision", "resume_from_checkpoint", "run_name", "project",
            "trackio_space_id", "auto_find_batch_size", "save_only_model",
            "model_init_kwargs", "trust_remote_code", "dataset_num_proc", "chat_template_path",
            "eos_token", "pad_token", "dataset_text_field", "packing_strategy", "eval_packing",
            "shuffle_dataset", "assistant_only_loss", "completion_only_loss", "padding_free",
            "full_determinism", "data_seed", "ignore_data_skip", "load_best_model_at_end",
            "metric_for_best_model", "greater_is_better", "enable_jit_checkpoint",
            "report_to", "deepspeed", "fsdp", "fsdp_config", "parallelism_config",
            "accelerator_config", "generate_during_eval", "log_completions", "use_cpu",
            "average_tokens_across_devices", "batch_eval_metrics", "train_sampling_strategy",
        ),
        "the pipeline sets it; leave it out",
    ),
    "max_steps": "train.epochs says how long; leave it out",
    "dataloader_drop_last": "every row is learnt; leave it out",
    "eval_on_start": "a resumed training would evaluate once more; leave it out",
    "sync_ref_model": "a resumed training would lose the moved reference; leave it out",
    "num_iterations": "training resumes between generations only; leave it out",
    "steps_per_generation": "training resumes between generations only; leave it out",
    "generation_batch_size": "training resumes between generations only; leave it out",
    "use_vllm": "generation is by transformers here; leave it out",
}  # fmt: skip
"""Options of the libraries that are not the user's, and why."""

LOSSES = {
    "dpo": (
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard",
        "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
    ),
    "kto": ("kto", "apo_zero_unpaired"),
    "grpo": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
}  # fmt: skip
"""`loss_type` of the objectives whose trainer looks at it only when it computes the first loss."""


def build(chosen: Train, seed: int, device: str, scratch: Path, processes: int = 1) -> Any:
    """The objective's configuration, with every mistake in `train` that it finds told at once.

    A batch of the pipeline is one of all processes together, so the accumulation steps are
    divided among them.
    """
    from transformers.utils import is_liger_kernel_available

    if chosen.precision == "fp16" and device == "cpu":
        raise UserError("params.yaml: train.precision: fp16 needs a GPU; take fp32 or bf16")
    cls = _class_of(chosen.objective)
    ours: dict[str, Any] = {
        "output_dir": str(scratch),
        "num_train_epochs": chosen.epochs,
        "per_device_train_batch_size": chosen.batch_size,
        "per_device_eval_batch_size": _evaluation_rows(chosen),
        "gradient_accumulation_steps": _share(chosen.accumulation_steps, processes),
        "learning_rate": chosen.learning_rate,
        "lr_scheduler_type": _scheduler(chosen.schedule),
        "warmup_steps": chosen.warmup,
        "optim": _optimizer(chosen.optimizer),
        "weight_decay": chosen.weight_decay,
        "max_grad_norm": chosen.max_grad_norm,
        "bf16": chosen.precision == "bf16",
        "fp16": chosen.precision == "fp16",
        "activation_checkpointing": chosen.activation_checkpointing,
        "logging_steps": chosen.log_steps,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if chosen.evaluation_steps else "no",
        "eval_steps": chosen.evaluation_steps or None,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": device == "cpu",
        "seed": seed,
        "remove_unused_columns": False,
        "label_names": ["labels"],
    }
    match chosen.objective:
        case "sft":
            ours |= {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
            ours |= {"packing": chosen.batching == "packed"}
        case "dpo" | "kto" | "reward":
            ours |= {"max_length": None}
        case "orpo":
            ours |= {"max_length": chosen.max_length}
        case "simpo":
            ours |= {"max_length": chosen.max_length, "loss_type": "simpo"}
        case "grpo":
            ours |= {"max_completion_length": chosen.evaluation_tokens}
    given = dict(chosen.options)
    if chosen.objective == "simpo":
        given.setdefault("cpo_alpha", 0.0)  # otherwise CPO's own term is added
    config = library_options.build(cls, given, ours, "train.options", OWNED)
    _check_optimizer(config)
    _check_schedule(config)
    _check_loading(config)
    _check_losses(config, chosen.objective)
    if config.use_liger_kernel and not is_liger_kernel_available():
        raise UserError("params.yaml: train.options.use_liger_kernel: install liger-kernel first")
    return config


def steps(rows: int, chosen: Train) -> int:
    """Optimizer steps of the run, as transformers' trainer counts them.

    For grpo a row of a batch is an answer, several to each prompt.
    """
    each = chosen.options.get("num_generations", 8) if chosen.objective == "grpo" else 1
    answers = each if isinstance(each, int) else 1  # `build` refuses another kind
    batches = math.ceil(rows * answers / chosen.batch_size)
    epoch = max(1, math.ceil(batches / chosen.accumulation_steps))
    return math.ceil(chosen.epochs * epoch)


def _class_of(objective: Objective) -> Any:
    """Imports TRL: seconds."""
    import trl
    from transformers import TrainingArguments
    from trl.experimental.cpo import CPOConfig
    from trl.experimental.orpo import ORPOConfig

    return {
        "sft": trl.SFTConfig,
        "dpo": trl.DPOConfig,
        "orpo": ORPOConfig,
        "simpo": CPOConfig,
        "kto": trl.KTOConfig,
        "reward": trl.RewardConfig,
        "grpo": trl.GRPOConfig,
        "classification": TrainingArguments,
        "regression": TrainingArguments,
    }[objective]


def _scheduler(name: str) -> str:
    from transformers import SchedulerType

    if name in ("reduce_lr_on_plateau", "greedy"):
        raise UserError(
            f"params.yaml: train.schedule: {name} follows evaluations, and a resumed training "
            "would not; take cosine, or early_stopping"
        )
    return _known(name, [kind.value for kind in SchedulerType], "schedule")


def _optimizer(name: str) -> str:
    from transformers.training_args import OptimizerNames

    return _known(name, [kind.value for kind in OptimizerNames], "optimizer")


def _check_optimizer(config: Any) -> None:
    """Refuse an optimizer whose package is not installed, and one that needs the model's layers."""
    import torch
    from transformers import Trainer

    try:
        kind, given = Trainer.get_optimizer_cls_and_kwargs(config, None)
        kind([torch.nn.Parameter(torch.zeros(2, 2))], **given)
    except (ImportError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"params.yaml: train.optimizer, train.options: {config.optim.value}: {reason}"
        ) from None


def _check_loading(config: Any) -> None:
    """Refuse options of the data loader that it refuses itself, but late."""
    from torch.utils.data import DataLoader

    names = ("num_workers", "prefetch_factor", "persistent_workers")
    given: dict[str, Any] = {name: getattr(config, f"dataloader_{name}") for name in names}
    nothing: Any = []
    try:
        DataLoader(nothing, **given)
    except (ValueError, TypeError) as error:
        raise UserError(f"params.yaml: train.options.dataloader_…: {error}") from None


def _check_schedule(config: Any) -> None:
    """Refuse a schedule that lacks a number of its own, or does not take one."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    given = config.lr_scheduler_kwargs
    try:
        get_scheduler(config.lr_scheduler_type, optimizer, 0, 10**6, given)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"params.yaml: train.schedule, train.options.lr_scheduler_kwargs: "
            f"{config.lr_scheduler_type.value}: {reason}"
        ) from None


def _check_losses(config: Any, objective: Objective) -> None:
    asked = getattr(config, "loss_type", None)
    for name in asked if isinstance(asked, list) else [asked]:
        if objective in LOSSES and name not in LOSSES[objective]:
            raise UserError(
                f"params.yaml: train.options.loss_type: no {name!r} for {objective}; "
                f"known: {', '.join(LOSSES[objective])}"
            )


def _known(name: str, names: list[str], key: str) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(names))}"
    raise UserError(f"params.yaml: train.{key}: no {name!r} in transformers; {hint}")


def _share(steps: int, processes: int) -> int:
    """The accumulation steps of one process, so that all together see the same rows."""
    if steps % processes:
        raise UserError(
            f"params.yaml: train.accumulation_steps: {steps} cannot be shared by "
            f"{processes} processes; make it a multiple, and train.batch_size smaller"
        )
    return steps // processes


def _evaluation_rows(chosen: Train) -> int:
    """More rows at once where nothing is kept for a backward pass; GRPO writes answers there."""
    return chosen.batch_size * (1 if chosen.objective == "grpo" else 4)
