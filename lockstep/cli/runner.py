"""How a stage starts, fails and dies: nothing here can change a result."""

import ctypes
import errno
import gc
import importlib
import json
import logging
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import click
from pydantic import ValidationError, create_model

from lockstep import outputs, params
from lockstep.cli.checks.agreements import disagreements
from lockstep.errors import UserError
from lockstep.models.compute import RuntimeParams, select_device
from lockstep.models.machine import read_machine_class
from lockstep.processes import die_with_parent

STAGES = (
    "base",
    "prepare",
    "augment",
    "train",
    "merge",
    "quantize",
    "evaluate",
    "judge",
    "report",
)
TIMINGS = Path("reports/timings")
PROVENANCE = Path("reports/provenance")

IN_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)

_TIMED: dict[str, float] = {}

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; the clean-up of every `with` runs on its way up."""

    def __init__(self, number: int) -> None:
        self.number = number


def run(main: click.Command) -> None:
    """Run a stage's command as a process of its own and exit with its code.

    0 done, 2 a user's mistake in one line on stderr, 128+n ended by signal n; a bug is a
    traceback. Under DVC the run's wall time and memory go to reports/timings,
    the machine and the result to reports/provenance.
    """
    if {"DVC_STAGE", "LOCKSTEP_RUN"} & os.environ.keys():  # no stage outlives what started it
        die_with_parent(signal.SIGTERM, os.getppid())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        sys.exit(_run(main))
    except click.UsageError as error:  # click would show three lines
        click.echo(f"error: {error.format_message().rstrip('.')}; see --help", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_ended_by(signal.SIGINT))
    except Terminated as end:
        sys.exit(_ended_by(end.number))
    except Exception as error:
        reason = _no_space(error)
        if reason is None:
            raise
        click.echo(f"error: {reason}; free space or quota, then run again", err=True)
        sys.exit(2)


def _run(main: click.Command) -> int:
    started = time.perf_counter()
    try:
        context = main.make_context(_stage_name(), sys.argv[1:])
    except click.exceptions.Exit as end:  # --help
        return end.exit_code
    with context:
        _keep_inputs(context.params)
        check_parameters()
        _keep_memory()
        _yield_idle_threads()
        _quiet_and_offline()
        if _stage_name().endswith(".base"):
            check_options()
        main.invoke(context)
        leads = "LOCKSTEP_RUN" not in os.environ
        if "DVC_STAGE" in os.environ and leads and "out" in context.params:
            write_record(os.environ["DVC_STAGE"], context.params, started)
    gc.freeze()  # the interpreter ends 1.4 s sooner when it need not collect torch's modules
    return 0


def _keep_inputs(arguments: dict[str, Any]) -> None:
    """Refuse an output that would take the place of an input, or of what it lies in."""
    paths = {name: Path(v).resolve() for name, v in arguments.items() if isinstance(v, Path)}
    out = paths.pop("out", None)
    for name, path in paths.items():
        if out is not None and (out == path or out in path.parents or path in out.parents):
            raise UserError(f"{arguments['out']}: is read as {name.upper()}; name another output")


def check_parameters(file: Path = params.FILE) -> None:
    """Validate the whole params.yaml, every stage's part, before any stage does work."""
    read: dict[str, list[Any]] = {"runtime": [RuntimeParams]}
    for stage in STAGES:
        for name, field in importlib.import_module(f"stages.{stage}").Params.model_fields.items():
            read.setdefault(name, []).append(field.rebuild_annotation())
    sections: dict[str, Any] = {
        name: (params.section(*classes), ...) for name, classes in read.items()
    }
    whole = create_model("Whole", __base__=params.Section, **sections)
    values = params.parse(file)
    try:
        checked = whole.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(params.mistakes(error, whole, values, file))) from None
    if lines := [f"{file}: {line}" for line in disagreements(checked)]:
        raise UserError("\n".join(lines))


def check_options(file: Path = params.FILE) -> None:
    """Hold what training leaves to libraries against their classes, which takes seconds to import,
    and look for vLLM where it shall write answers.

    Done by the first stage, which imports torch anyway; `train` would tell hours later.
    """
    from lockstep.inference import vllm_backend
    from lockstep.training import adapters, trainer_arguments

    sections = importlib.import_module("stages.train").Params
    chosen = params.read(sections, file)
    trainer_arguments.build(chosen.train, chosen.seed, select_device(), Path())
    adapters.configuration(chosen.train, chosen.strategies, Path())
    adapters.learning_rate_ratio(chosen.train, chosen.strategies)
    adapters.double_quantization(chosen.strategies)
    if params.read(importlib.import_module("stages.evaluate").Params, file).evaluate.vllm_writes:
        vllm_backend.check_machine()


def timed(**figures: float) -> None:
    """What a stage measured of its own speed, for reports/timings."""
    _TIMED.update(figures)


def write_record(stage: str, arguments: dict[str, Any], started: float) -> None:
    """Keep wall time, peak memory and machine of the run that first produced this result.

    A rerun that reproduces the same bytes leaves the files, and so the git tree, as they are.
    """
    name = f"{stage.replace('@', '-')}.json"
    provenance = {"machine": read_machine_class(), "result": outputs.hash_path(arguments["out"])}
    if _result(PROVENANCE / name) == provenance["result"] and (TIMINGS / name).exists():
        return
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timing = {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mib": round(peak_kib / 1024),
        **_TIMED,
    }
    for file, values in ((TIMINGS / name, timing), (PROVENANCE / name, provenance)):
        with outputs.atomic_file(file) as partial:
            outputs.write_json(partial, values)


def _result(file: Path) -> Any:
    return json.loads(file.read_bytes())["result"] if file.exists() else None


def _stage_name() -> str:
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name}" if spec else sys.argv[0]


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the clean-up must not be cut short
    raise Terminated(number)


def _ended_by(number: int) -> int:
    click.echo(f"stopped by {signal.Signals(number).name}; nothing half-written was left", err=True)
    return 128 + number


def _keep_memory() -> None:
    """Let glibc keep large blocks instead of returning each to the kernel and faulting it in.

    The same training run was 2.2 times faster on CPU. No effect with another allocator.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 256 * 2**20)):
            libc.mallopt(option, value)  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD


def _yield_idle_threads() -> None:
    """Let waiting OpenMP threads spin for microseconds, then sleep.

    By default they spin for long; with another busy process on the machine they wait for a
    thread that is not running, and training was over 10 times slower on 2 shared cores.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def _quiet_and_offline() -> None:
    """No library phones home; bases.hub alone lifts HF_HUB_OFFLINE, to download a model."""
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TOKENIZERS_PARALLELISM="false",
        TRANSFORMERS_VERBOSITY="error",
        TRL_EXPERIMENTAL_SILENCE="1",
    )
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # advertises an optional kernel


def _no_space(error: Exception) -> str | None:
    """One line on a full disk, also where a library wraps the system's error in its own."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return f"{error.filename or 'output'}: {os.strerror(error.errno).lower()}"
    text = str(error)
    if any(os.strerror(number) in text for number in _NO_SPACE):
        return " ".join(text.split())
    return None
