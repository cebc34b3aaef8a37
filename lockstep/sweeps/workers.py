"""Start workers of DVC's queue, each on a device of its own, and wait for their end."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lockstep import params
from lockstep.cli import device_lock
from lockstep.errors import UserError
from lockstep.models.compute import ComputeParams

LOGS = Path(".scratch/workers")
"""Folder of the workers' own logs; those of experiments are DVC's."""
POLL_SECONDS = 1.0
"""Seconds between two looks at the workers."""


class _ComputeSection(params.Section):
    compute: ComputeParams


@dataclass(frozen=True, slots=True)
class Slot:
    """Place for one worker."""

    name: str
    """Name of its lock and log."""
    device: str
    """Value of CUDA_VISIBLE_DEVICES; empty for a worker on the CPU."""

    def describe(self) -> str:
        """Return a GPU's name or the number of a worker on the CPU."""
        return f"GPU {self.device}" if self.device else self.name.rpartition("-")[0]


def list_slots(gpus: str | None, number: int | None) -> list[Slot]:
    """Return a slot for each GPU, or `number` slots on the CPU.

    `gpus` is a list such as 0,1,2,3, or 0+1,2+3 for workers with two GPUs; empty for none, and None
    for all GPUs of the machine, if `number` is None as well. Without a GPU there is one slot on the
    CPU by default.
    """
    if gpus and number is not None:
        raise UserError(
            "GPUS and a number of workers: set only one; each GPU has one worker, the number is "
            "for the CPU"
        )
    names = [name.strip() for name in (gpus or "").split(",") if name.strip()]
    if gpus is None and number is None:
        names = device_lock.list_visible_devices()
    groups = [name.replace("+", ",") for name in names]
    devices = [device_lock.list_visible_devices({"CUDA_VISIBLE_DEVICES": g}) for g in groups]
    if len({device for group in devices for device in group}) < sum(map(len, devices)):
        raise UserError(f"GPUS: {gpus}: name each GPU once")
    _check_devices([device for group in devices for device in group])
    slots = [
        Slot(f"worker-{'-'.join(group)}", visible)
        for group, visible in zip(devices, groups, strict=True)
    ]
    root = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:8]
    return slots or [Slot(f"CPU-{place + 1}-{root}", "") for place in range(number or 1)]


def _check_devices(devices: Sequence[str]) -> None:
    """Raise UserError if the machine lacks one of the GPUs, where a worker would use the CPU.

    Without nvidia-smi nothing is known; it lists no part of a divided GPU (MIG).
    """
    known = device_lock.list_visible_devices({})
    unknown = [name for name in devices if name not in known and not name.startswith("MIG-")]
    if known and unknown:
        raise UserError(f"GPUS: {', '.join(unknown)}: no such GPU; `nvidia-smi -L` lists them")


def start_workers(slots: Sequence[Slot]) -> list[Slot]:
    """Start a worker in each slot and return the slots that have one of this clone now.

    A slot in use is left alone, with a message. A worker ends when the queue is empty.
    """
    _warn_about_threads(sum(not slot.device for slot in slots))
    return [slot for place, slot in enumerate(slots) if _start_worker(slot, is_first=not place)]


def _warn_about_threads(workers: int) -> None:
    threads = params.read(_ComputeSection).compute.threads
    cores = os.cpu_count() or 1
    if workers > 1 and workers * threads > cores:
        click.echo(
            f"{workers} workers of {threads} threads (compute.threads) share {cores} CPU cores: "
            "each is slower than alone, and so are the times in the table",
            err=True,
        )


def _start_worker(slot: Slot, is_first: bool) -> bool:
    """Start the worker of a slot, which inherits its lock; return whether the slot is ours."""
    owner = f"worker in {Path.cwd()}"
    with device_lock.open_lock(slot.name) as lock:
        holder = device_lock.take_lock(lock, owner)
        if holder is not None:
            click.echo(f"{slot.describe()}: has a worker already ({holder})", err=True)
            return holder == owner
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{slot.name}.log").open("w") as log:
            subprocess.Popen(  # noqa: S603 - dvc alone, no shell
                _build_command(slot, is_first),
                env=_build_environment(slot), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, pass_fds=[lock.fileno()], start_new_session=True,
            )  # fmt: skip
    click.echo(f"{slot.describe()}: worker started")
    return True


def _build_command(slot: Slot, is_first: bool) -> list[str]:
    """Return the command by which `dvc queue start` starts a worker; the first one tidies up."""
    root = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:6]
    node = f"dvc-exp-{root}-{slot.name}@localhost"
    return [sys.executable, "-m", "dvc", "exp", "queue-worker", node, *["--clean"] * is_first]


def _build_environment(slot: Slot) -> dict[str, str]:
    """Return the environment of a worker and its experiments: it sees no other GPU."""
    binaries = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([binaries, os.environ.get("PATH", os.defpath)]),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # that of nvidia-smi
        "CUDA_VISIBLE_DEVICES": slot.device,
    }


def wait_for_workers(slots: Sequence[Slot], report: Callable[[], None]) -> None:
    """Wait until no slot has a worker, and call `report` every second.

    DVC's worker looks every 10 seconds whether the queue is empty.
    """
    while any(map(_has_worker, slots)):
        report()
        time.sleep(POLL_SECONDS)
    report()


def _has_worker(slot: Slot) -> bool:
    with device_lock.open_lock(slot.name) as lock:
        return device_lock.is_taken(lock)
