"""Several processes for one training: the stage starts itself again under `accelerate launch`."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UserError
from lockstep.models.compute import Launch
from lockstep.processes import die_with_parent
from lockstep.training.interruption import handled_signals
from lockstep.training.train_params import Train

RUN = "LOCKSTEP_RUN"
"""In the environment of a started process: the folder of its checkpoints."""


def inside() -> Path | None:
    """The folder of the run that this process was started for; None where nobody started it."""
    return Path(os.environ[RUN]) if RUN in os.environ else None


def leads() -> bool:
    """Whether this process is the one that speaks and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def shares_out(launch: Launch) -> bool:
    """Whether each process is to hold a part of the model only."""
    return launch.strategy != "ddp" and launch.world > 1


def loads_in_parts(launch: Launch) -> bool:
    """Whether no process ever holds the whole model: ZeRO-3 shares it out as it is read."""
    return shares_out(launch) and launch.strategy == "deepspeed" and launch.zero_stage == 3


def place(launch: Launch, device: str) -> str | None:
    """Where a process loads the weights to; None leaves that to the launcher."""
    if not shares_out(launch):
        return device
    return None if loads_in_parts(launch) else "cpu"


def check(launch: Launch, chosen: Train) -> None:
    """Refuse what several processes cannot do together."""
    where = "params.yaml: runtime.launch:"
    sharded = shares_out(launch)
    if sharded and (chosen.early_stopping.patience or chosen.evaluation_answers):
        raise UserError(
            f"{where} {launch.strategy} keeps no whole model in one process, which early_stopping "
            "and evaluation_answers need; take strategy ddp or leave them out"
        )
    if launch.world > 1 and chosen.sft.weighting != "fixed":
        raise UserError(f"{where} learnt task weights are of one process; take sft.weighting fixed")
    if sharded and chosen.strategy == "qlora":
        raise UserError(
            f"{where} {launch.strategy} does not split 4-bit weights; take strategy ddp"
        )


def start(launch: Launch, module: str, arguments: Sequence[str], run: Path, on_cpu: bool) -> None:
    """Run `python -m module arguments` in all processes of this machine and wait for them.

    A signal is passed on to them. Raises UserError where one of them has failed: it has said why.
    """
    environment = {**os.environ, RUN: str(run.resolve())}
    if on_cpu:
        environment["ACCELERATE_USE_CPU"] = "true"
    parent = os.getpid()
    process = subprocess.Popen(  # noqa: S603 - our own command, words and not a shell line
        [*command(launch), "-m", module, *arguments],
        env=environment,
        preexec_fn=lambda: die_with_parent(signal.SIGTERM, parent),
    )
    noted: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        noted.append(number)
        process.terminate()

    before = {number: signal.signal(number, pass_on) for number in handled_signals()}
    try:
        code = process.wait()
    finally:
        process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])
    if code:
        raise UserError(
            f"a process of {launch.world} ended with {code}; what it said stands above, and the "
            "next run goes on from the last checkpoint"
        )


def command(launch: Launch) -> list[str]:
    """`accelerate launch` with what `runtime.launch` says."""
    words = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--num_processes", str(launch.world), "--num_machines", str(launch.machines)),
        *("--machine_rank", str(launch.machine), "--main_process_port", str(launch.port)),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
    ]
    if launch.machines > 1:
        words += ["--main_process_ip", launch.address]
    offload = "cpu" if launch.offload else "none"
    match launch.strategy:
        case "ddp":
            words += ["--multi_gpu"]
        case "fsdp":
            words += [
                *("--use_fsdp", "--fsdp_version", "2"),
                *("--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"),
                *("--fsdp_state_dict_type", "SHARDED_STATE_DICT"),
                *("--fsdp_offload_params", str(launch.offload).lower()),
            ]
        case "deepspeed":
            words += [
                *("--use_deepspeed", "--zero_stage", str(launch.zero_stage)),
                *("--offload_optimizer_device", offload),
                *("--offload_param_device", offload if launch.zero_stage == 3 else "none"),
                *("--zero3_save_16bit_model", "true"),
            ]
    return words
