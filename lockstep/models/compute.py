"""Set up torch for a stage: CPU threads, random seeds, deterministic kernels and the device."""

import os
import random
import warnings
from typing import Annotated, Any, Literal

import click
from pydantic import Field, model_validator

from lockstep.models import instruction_sets, lean_imports
from lockstep.models.instruction_sets import Portable
from lockstep.params import MixedPrecision, NaturalInt, PositiveInt, Section, read


class ComputeParams(Section):
    """Settings of the arithmetic; they can change the last bits of a result."""

    threads: Annotated[int, Field(gt=0, le=1024)]
    """Number of CPU threads for tensor operations."""
    attention: Literal["eager", "sdpa", "flash_attention_2"]
    """Attention kernel, by its name in transformers. eager is faster for short rows on a CPU, sdpa
    on a GPU; flash_attention_2 needs a GPU and the package flash-attn."""
    portable: Portable = False
    """Whether all x86-64 CPUs with AVX2 give the same bytes, at a cost in speed. true is refused
    on other CPUs; auto applies it where the CPU has the instructions (docs/reproducibility.md)."""


class LaunchParams(Section):
    """Processes that train together; their number does not change the batch of a step."""

    processes: PositiveInt = 1
    """Number of processes on this machine, one for each GPU."""
    machines: PositiveInt = 1
    """Number of machines that train together."""
    machine: NaturalInt = 0
    """Number of this machine, counted from 0."""
    address: str = "127.0.0.1"
    """Host name or IP address of machine 0, as the other machines reach it."""
    port: Annotated[int, Field(gt=0, lt=2**16)] = 29500
    """TCP port on machine 0 through which the processes find each other."""
    strategy: Literal["ddp", "fsdp", "deepspeed"] = "ddp"
    """ddp keeps the whole model in each process; fsdp and deepspeed divide it among them."""
    zero_stage: Literal[2, 3] = 2
    """ZeRO stage of deepspeed: 2 divides gradients and optimizer state, 3 the weights as well."""
    offload: bool = False
    """Whether fsdp and deepspeed keep the divided tensors in CPU memory instead of on the GPU."""

    @model_validator(mode="after")
    def _check_machine(self) -> "LaunchParams":
        if self.machine >= self.machines:
            raise ValueError(f"machine: {self.machine} must be less than machines {self.machines}")
        return self

    @property
    def world_size(self) -> int:
        """Number of processes on all machines."""
        return self.processes * self.machines


class RuntimeParams(Section):
    """Settings that cannot change a result, so no stage depends on them."""

    device: Literal["auto", "cpu", "cuda"]
    """Device that models run on; auto uses the GPU if there is one."""
    checkpoint_steps: NaturalInt | Literal["epoch"] = 500
    """Optimizer steps between two checkpoints, or epoch for one at the end of each epoch; 0 saves
    one only when the training is stopped."""
    checkpoints_kept: PositiveInt = 2
    """Number of newest checkpoints that are kept while the training runs."""
    launch: LaunchParams = LaunchParams()
    """The processes that train together (docs/scale.md)."""
    report_to: list[Literal["trackio", "tensorboard", "wandb", "mlflow"]] = []
    """Tools that show the losses while a model trains (docs/training.md)."""


class _RuntimeSection(Section):
    runtime: RuntimeParams


def read_runtime() -> RuntimeParams:
    """Read the `runtime` section of params.yaml, which no stage has among its own parameters."""
    return read(_RuntimeSection).runtime


def set_up_torch(compute: ComputeParams, seed: int) -> None:
    """Set threads, seeds and deterministic kernels; call this before creating any tensor."""
    os.environ["OMP_NUM_THREADS"] = str(compute.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import numpy as np
    import torch
    from transformers import logging

    if instruction_sets.are_fixed() and torch.backends.cpu.get_cpu_capability() != "AVX2":
        raise RuntimeError("torch was imported before its instruction sets were fixed")
    lean_imports.leave_out_scipy()
    torch.set_num_threads(compute.threads)
    # torch.use_deterministic_algorithms does the same and loads the compiler
    torch.set_deterministic_debug_mode("error")
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # filling takes a fifth of the time
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # PEFT's
    random.seed(seed)  # transformers.set_seed does the same and imports PEFT, which takes 6 s
    np.random.seed(seed)
    torch.manual_seed(seed)


def warn_about_slow_bf16(parameter: str, precision: MixedPrecision) -> None:
    """Warn if `precision` is bf16 and the models run on an x86 CPU without bf16 instructions."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    is_emulated = capabilities.get("architecture") == "x86_64" and not capabilities.get(
        "avx512_bf16"
    )
    if precision == "bf16" and is_emulated and select_device() == "cpu":
        click.echo(f"{parameter}: bf16 is slow on this CPU; fp32 is many times faster", err=True)


def select_device() -> str:
    """Return `cuda` or `cpu` according to `runtime.device`; raise UserError if cuda is missing.

    On a machine with several processes, each one gets its own GPU.
    """
    import torch

    from lockstep.errors import UserError

    device = read_runtime().device
    is_available = torch.cuda.is_available()
    if device == "cuda" and not is_available:
        raise UserError("params.yaml: runtime.device: no CUDA device here; set it to auto or cpu")
    if device == "cpu" or not is_available:
        return "cpu"
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return "cuda"
