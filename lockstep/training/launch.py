"""Training in several processes: the stage starts itself again under `accelerate launch`."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UserError
from lockstep.models.compute import LaunchParams
from lockstep.processes import WORKER_FOLDER, die_with_parent
from lockstep.training.interruption import list_handled_signals
from lockstep.training.train_params import TRAINED_WEIGHTINGS, TrainParams


def get_worker_folder() -> Path | None:
    """Return the checkpoint folder that a worker was started for; None outside of a worker."""
    return Path(os.environ[WORKER_FOLDER]) if WORKER_FOLDER in os.environ else None


def needs_workers(launch: LaunchParams) -> bool:
    """Whether this process must start workers instead of training itself."""
    return launch.world_size > 1 and get_worker_folder() is None


def is_first_process() -> bool:
    """Whether this process is the one that reports and writes the result."""
    return int(os.environ.get("RANK", "0")) == 0


def is_deepspeed_worker() -> bool:
    """Whether this process was started for DeepSpeed."""
    return os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"


def is_sharded(launch: LaunchParams) -> bool:
    """Whether each process holds only a part of the model, by FSDP or DeepSpeed."""
    return launch.strategy != "ddp" and launch.world_size > 1


def is_sharded_on_load(launch: LaunchParams) -> bool:
    """Whether the weights are sharded while they are read, by ZeRO-3: no process holds them all."""
    return is_sharded(launch) and launch.strategy == "deepspeed" and launch.zero_stage == 3


def choose_loading_device(launch: LaunchParams, device: str) -> str | None:
    """Return the device to which a process loads the weights; None leaves it to the launcher."""
    if not is_sharded(launch):
        return device
    return None if is_sharded_on_load(launch) else "cpu"


def check_launch(launch: LaunchParams, params: TrainParams) -> None:
    """Raise UserError if the params need something that several processes cannot do."""
    where = "params.yaml: runtime.launch:"
    sharded = is_sharded(launch)
    if sharded and (params.early_stopping.patience or params.evaluation_answers):
        raise UserError(
            f"{where} {launch.strategy} keeps no whole model in one process, but early_stopping "
            "and evaluation_answers need one; set strategy to ddp or leave them out"
        )
    if launch.world_size > 1 and params.sft.weighting in TRAINED_WEIGHTINGS:
        raise UserError(
            f"{where} trained task weights work in one process only; set sft.weighting to fixed"
        )
    rewards = params.grpo.rewards if params.objective == "grpo" else []
    if sharded and any(reward.kind == "model" for reward in rewards):
        raise UserError(
            f"{where} {launch.strategy} cannot shard a reward model; set strategy to ddp, in which "
            "each process holds the whole model"
        )
    if sharded and params.strategy == "qlora":
        raise UserError(
            f"{where} {launch.strategy} cannot shard 4-bit weights; set strategy to ddp"
        )


def start_workers(
    launch: LaunchParams, module: str, arguments: Sequence[str], folder: Path, device: str
) -> None:
    """Run `python -m module arguments` in all processes of this machine and wait for them.

    `folder` is the checkpoint folder of the run. A signal to this process is passed on to the
    workers. Raise UserError if a worker fails; it has printed the reason.
    """
    environment = {**os.environ, WORKER_FOLDER: str(folder.resolve())}
    if device == "cpu" and launch.strategy == "deepspeed":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    elif device == "cpu":
        environment["ACCELERATE_USE_CPU"] = "true"
    parent = os.getpid()
    process = subprocess.Popen(  # noqa: S603 - a fixed command as a list of words, no shell
        [*build_launch_command(launch), "-m", module, *arguments],
        env=environment,
        preexec_fn=lambda: die_with_parent(signal.SIGTERM, parent),
    )
    received: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        received.append(number)
        process.terminate()

    handlers = {number: signal.signal(number, pass_on) for number in list_handled_signals()}
    try:
        code = process.wait()
    finally:
        process.kill()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
    if code:
        raise UserError(
            f"one of {launch.world_size} processes failed with exit code {code}; its message is "
            "above; the next run continues from the last checkpoint"
        )


def build_launch_command(launch: LaunchParams) -> list[str]:
    """Return the `accelerate launch` command line for `runtime.launch`."""
    words = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--num_processes", str(launch.world_size), "--num_machines", str(launch.machines)),
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
