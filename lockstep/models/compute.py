"""The arithmetic that results depend on: threads, seeds, kernels, the device."""

import os
import random
import warnings
from typing import Annotated, Any, Literal

import click
from pydantic import Field, model_validator

from lockstep.params import MixedPrecision, Section, read


class ComputeParams(Section):
    """What changes the last bits of a result on one machine class."""

    threads: Annotated[int, Field(gt=0, le=1024)]
    """CPU threads of tensor operations."""
    attention: Literal["eager", "sdpa"]
    """Attention kernel: eager is faster for short rows on a CPU, sdpa on a GPU."""


class Launch(Section):
    """How many processes train together; the batch of a step is the same for any number."""

    processes: Annotated[int, Field(gt=0)]
    """On this machine: one for each GPU."""
    machines: Annotated[int, Field(gt=0)]
    machine: Annotated[int, Field(ge=0)]
    """The number of this one, from 0."""
    address: str
    """Where machine 0 is reached by the others."""
    port: Annotated[int, Field(gt=0, lt=2**16)]
    strategy: Literal["ddp", "fsdp", "deepspeed"]
    """ddp: the whole model in each process; fsdp and deepspeed share it out."""
    zero_stage: Literal[2, 3]
    """deepspeed: 2 shares out gradients and optimizer, 3 the weights as well."""
    offload: bool
    """fsdp, deepspeed: what is shared out lies in the machine's memory, not the GPU's."""

    @model_validator(mode="after")
    def _numbered(self) -> "Launch":
        if self.machine >= self.machines:
            raise ValueError(f"machine: {self.machine} is none of {self.machines}, from 0")
        return self

    @property
    def world(self) -> int:
        """Processes on all machines."""
        return self.processes * self.machines


class RuntimeParams(Section):
    """What cannot change a result; no stage depends on it."""

    device: Literal["auto", "cpu", "cuda"]
    """Where models run; auto takes the GPU where there is one."""
    checkpoint_steps: Annotated[int, Field(ge=0)]
    """Optimizer steps between two checkpoints of a training; 0: only when it is stopped."""
    checkpoints_kept: Annotated[int, Field(gt=0)]
    """Newest checkpoints that stay while it runs."""
    launch: Launch


class _Root(Section):
    runtime: RuntimeParams


def read_runtime() -> RuntimeParams:
    """The `runtime` section, read apart from the parameters that results depend on."""
    return read(_Root).runtime


def set_up_torch(compute: ComputeParams, seed: int) -> None:
    """Fix threads, seeds and deterministic kernels. Imports torch; call before any tensor."""
    os.environ["OMP_NUM_THREADS"] = str(compute.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import numpy as np
    import torch
    from transformers import logging

    torch.set_num_threads(compute.threads)
    # torch.use_deterministic_algorithms does the same and loads the compiler
    torch.set_deterministic_debug_mode("error")
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # costs a fifth of the time
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # PEFT's
    random.seed(seed)  # transformers.set_seed does the same and imports PEFT: 6 s
    np.random.seed(seed)
    torch.manual_seed(seed)


def warn_about_slow_bf16(parameter: str, precision: MixedPrecision) -> None:
    """Say so where bf16 is asked for on an x86 CPU that has no instructions for it."""
    import torch

    able = torch.cpu.get_capabilities()
    emulated = able.get("architecture") == "x86_64" and not able.get("avx512_bf16")
    if precision == "bf16" and emulated and select_device() == "cpu":
        click.echo(f"{parameter}: bf16 is slow on this CPU; fp32 is many times faster", err=True)


def select_device() -> str:
    """`cuda` or `cpu`, as `runtime.device` asks and the machine has."""
    import torch

    from lockstep.errors import UserError

    wanted = read_runtime().device
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("params.yaml: runtime.device: no CUDA device here; set it to auto or cpu")
    if not available or wanted == "cpu":
        return "cpu"
    own = int(os.environ.get("LOCAL_RANK", "0"))  # of several processes on this machine
    torch.cuda.set_device(own)
    return "cuda"
