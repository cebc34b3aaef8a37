"""Configuration of the objective's trainer, e.g. trl.SFTConfig, built from section `train`."""

import difflib
import math
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.training import launch, library_options
from lockstep.training.train_params import Objective, TrainParams

RESERVED = {
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
            "predict_with_generate", "generation_max_length", "generation_num_beams",
            "generation_config", "sortish_sampler",
            "average_tokens_across_devices", "batch_eval_metrics", "train_sampling_strategy",
        ),
        "the pipeline sets it; leave it out",
    ),
    "max_steps": "train.epochs sets the number of steps; leave it out",
    "dataloader_drop_last": "every row is trained on; leave it out",
    "eval_on_start": "a resumed run would evaluate once more; leave it out",
    "sync_ref_model": "a resumed run would lose the updated reference model; leave it out",
    "num_iterations": "a run can resume only between generations; leave it out",
    "steps_per_generation": "a run can resume only between generations; leave it out",
    "generation_batch_size": "a run can resume only between generations; leave it out",
    "use_vllm": "transformers generates the answers; leave it out",
}  # fmt: skip
"""Options of the libraries that users cannot set, and why."""

LOSS_TYPES = {
    "dpo": (
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard",
        "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
    ),
    "kto": ("kto", "apo_zero_unpaired"),
    "grpo": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
}  # fmt: skip
"""Values of `loss_type` that TRL would check only when it computes the first loss."""

EVALUATION_BATCH_FACTOR = 4
"""Batch size of evaluations divided by that of training; evaluations keep no activations."""


def build_trainer_config(
    params: TrainParams,
    seed: int,
    device: str,
    scratch: Path,
    processes: int = 1,
    is_seq2seq: bool = False,
) -> Any:
    """Return the configuration of the objective's trainer.

    `scratch` is a temporary folder for the trainer. Several processes divide the accumulation
    steps among them, so that an optimizer step sees the same rows. `is_seq2seq` says whether the
    base is an encoder-decoder. Raise UserError if a library refuses an option.
    """
    from transformers.utils import is_liger_kernel_available

    if params.precision == "fp16" and device == "cpu":
        raise UserError("params.yaml: train.precision: fp16 needs a GPU; set it to fp32 or bf16")
    has_pairs = is_seq2seq and params.objective == "sft"
    cls = _get_config_class(params.objective, has_pairs)
    fixed = _build_common_arguments(params, seed, device, scratch, processes)
    fixed |= {} if has_pairs else _build_objective_arguments(params)
    if not hasattr(cls, "activation_checkpointing"):  # its name before transformers 5.23
        fixed["gradient_checkpointing"] = fixed.pop("activation_checkpointing")
    options = dict(params.options)
    if params.objective == "simpo":
        options.setdefault("cpo_alpha", 0.0)  # a larger value adds CPO's term to the loss
    config = library_options.build_config(cls, options, fixed, RESERVED, "train.options")
    _check_optimizer(config)
    _check_schedule(config)
    _check_data_loader(config)
    _check_loss_type(config, params.objective)
    if config.use_liger_kernel and not is_liger_kernel_available():
        raise UserError("params.yaml: train.options.use_liger_kernel: install liger-kernel first")
    return config


def count_steps(rows: int, params: TrainParams) -> int:
    """Return the number of optimizer steps that transformers' trainer takes for `rows` rows.

    For grpo a row of a batch is an answer, and each prompt has several answers.
    """
    answers = params.options.get("num_generations", 8) if params.objective == "grpo" else 1
    if not isinstance(answers, int):  # `build_trainer_config` refuses other types
        answers = 1
    batches = math.ceil(rows * answers / params.batch_size)
    epoch_steps = max(1, math.ceil(batches / params.accumulation_steps))
    return math.ceil(params.epochs * epoch_steps)


def _build_common_arguments(
    params: TrainParams, seed: int, device: str, scratch: Path, processes: int
) -> dict[str, Any]:
    """Return the arguments that all objectives have in common."""
    # StepCallback evaluates at the end of epochs, before a checkpoint of the same step is saved
    evaluation_steps = None if params.evaluation_steps == "epoch" else params.evaluation_steps
    evaluation_factor = 1 if params.objective == "grpo" else EVALUATION_BATCH_FACTOR
    return {
        "output_dir": str(scratch),
        "num_train_epochs": params.epochs,
        "per_device_train_batch_size": params.batch_size,
        "per_device_eval_batch_size": params.batch_size * evaluation_factor,
        "gradient_accumulation_steps": _divide_steps(params.accumulation_steps, processes),
        "learning_rate": params.learning_rate,
        "lr_scheduler_type": _check_schedule_name(params.schedule),
        "warmup_steps": params.warmup,
        "optim": _check_optimizer_name(params.optimizer),
        "weight_decay": params.weight_decay,
        "max_grad_norm": params.max_grad_norm,
        "bf16": params.precision == "bf16",
        "fp16": params.precision == "fp16",
        "activation_checkpointing": params.activation_checkpointing,
        "logging_steps": params.log_steps,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if evaluation_steps else "no",
        "eval_steps": evaluation_steps or None,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        **_build_device_arguments(device),
        "seed": seed,
        "remove_unused_columns": False,
        "label_names": ["labels"],
    }


def _build_device_arguments(device: str) -> dict[str, Any]:
    """Return the arguments that name the device.

    accelerate would train without DeepSpeed if `use_cpu` were set; the GPUs are hidden instead.
    """
    if device == "cpu" and launch.is_deepspeed_worker():
        return {"use_cpu": False, "ddp_backend": "gloo"}
    return {"use_cpu": device == "cpu"}


def _build_objective_arguments(params: TrainParams) -> dict[str, Any]:
    """Return the arguments that depend on the objective; rows are truncated already."""
    match params.objective:
        case "sft":
            return {
                "max_length": None,
                "dataset_kwargs": {"skip_prepare_dataset": True},
                "packing": params.batching == "packed",
            }
        case "dpo" | "kto" | "reward":
            return {"max_length": None}
        case "orpo":
            return {"max_length": params.max_length}
        case "simpo":
            return {"max_length": params.max_length, "loss_type": "simpo"}
        case "grpo":
            return {"max_completion_length": params.evaluation_tokens}
        case _:
            return {}


def _get_config_class(objective: Objective, has_pairs: bool) -> Any:
    """Return the configuration class of the objective's trainer; TRL takes seconds to import.

    `has_pairs` chooses the trainer of sequence-to-sequence models, whose rows are pairs.
    """
    import trl
    from transformers import Seq2SeqTrainingArguments, TrainingArguments
    from trl.experimental.cpo import CPOConfig
    from trl.experimental.orpo import ORPOConfig

    return {
        "sft": Seq2SeqTrainingArguments if has_pairs else trl.SFTConfig,
        "dpo": trl.DPOConfig,
        "orpo": ORPOConfig,
        "simpo": CPOConfig,
        "kto": trl.KTOConfig,
        "reward": trl.RewardConfig,
        "grpo": trl.GRPOConfig,
        "classification": TrainingArguments,
        "regression": TrainingArguments,
    }[objective]


def _check_schedule_name(name: str) -> str:
    from transformers import SchedulerType

    if name in ("reduce_lr_on_plateau", "greedy"):
        raise UserError(
            f"params.yaml: train.schedule: {name} depends on evaluations, so a resumed run would "
            "differ; set it to cosine, or use early_stopping"
        )
    return _check_name(name, [kind.value for kind in SchedulerType], "schedule")


def _check_optimizer_name(name: str) -> str:
    from transformers.training_args import OptimizerNames

    return _check_name(name, [kind.value for kind in OptimizerNames], "optimizer")


def _check_name(name: str, known: list[str], key: str) -> str:
    """Return the name; raise UserError if transformers does not know it."""
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    raise UserError(f"params.yaml: train.{key}: transformers has no {name!r}; {hint}")


def _check_optimizer(config: Any) -> None:
    """Raise UserError if the optimizer cannot be created, e.g. for lack of its package."""
    import torch
    from transformers import Trainer

    try:
        optimizer_class, options = Trainer.get_optimizer_cls_and_kwargs(config, None)
        optimizer_class([torch.nn.Parameter(torch.zeros(2, 2))], **options)
    except (ImportError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"params.yaml: train.optimizer, train.options: {config.optim.value}: {reason}"
        ) from None


def _check_schedule(config: Any) -> None:
    """Raise UserError if the schedule lacks an option of its own or has an unknown one."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    try:
        get_scheduler(config.lr_scheduler_type, optimizer, 0, 10**6, config.lr_scheduler_kwargs)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"params.yaml: train.schedule, train.options.lr_scheduler_kwargs: "
            f"{config.lr_scheduler_type.value}: {reason}"
        ) from None


def _check_data_loader(config: Any) -> None:
    """Raise UserError if torch's DataLoader refuses its options."""
    from torch.utils.data import DataLoader

    names = ("num_workers", "prefetch_factor", "persistent_workers")
    options: dict[str, Any] = {name: getattr(config, f"dataloader_{name}") for name in names}
    dataset: Any = []
    try:
        DataLoader(dataset, **options)
    except (ValueError, TypeError) as error:
        raise UserError(f"params.yaml: train.options.dataloader_…: {error}") from None


def _check_loss_type(config: Any, objective: Objective) -> None:
    """Raise UserError if TRL has no such loss for the objective."""
    if objective not in LOSS_TYPES:
        return
    loss_type = config.loss_type
    for name in loss_type if isinstance(loss_type, list) else [loss_type]:
        if name not in LOSS_TYPES[objective]:
            raise UserError(
                f"params.yaml: train.options.loss_type: {objective} has no {name!r}; "
                f"known: {', '.join(LOSS_TYPES[objective])}"
            )


def _divide_steps(steps: int, processes: int) -> int:
    """Return the accumulation steps of each process."""
    if steps % processes:
        raise UserError(
            f"params.yaml: train.accumulation_steps: {steps} steps cannot be divided among "
            f"{processes} processes; set it to a multiple, and lower train.batch_size"
        )
    return steps // processes
