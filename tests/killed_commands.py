"""Kill a command at a chosen moment, in a forked process, which need not import torch again."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from lockstep.cli import runner


def run_until(
    moment: tuple[Any, str],
    main: click.Command,
    arguments: Sequence[str],
    number: signal.Signals = signal.SIGKILL,
) -> int:
    """Run a command that a signal ends when it calls a function; return the process's exit code.

    `moment` is the module or class of the function, and its name.
    """

    def run() -> None:
        setattr(*moment, lambda *_, **__: os.kill(os.getpid(), number))
        sys.argv = ["command", *arguments]
        runner.run(main)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode
