"""Serve a GGUF file with llama.cpp on a Unix socket; a process that `make serve` starts."""

import signal
from pathlib import Path
from typing import Any

import click

from lockstep.inference.llama_cpp import BATCH
from lockstep.processes import die_with_parent


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("socket")
@click.option("--parent", type=int, required=True, help="process id of the gateway")
@click.option("--context", type=int, required=True, help="tokens of a prompt with its answer")
@click.option("--slots", type=int, required=True, help="requests at the same time")
@click.option("--threads", type=int, required=True)
@click.option("--cpu", is_flag=True, help="use no GPU")
def main(
    file: Path, socket: str, parent: int, context: int, slots: int, threads: int, cpu: bool
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the gateway, which ends this
    die_with_parent(signal.SIGKILL, parent)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = start_server(file, socket, context, slots, threads, cpu)
    signal.sigwait({signal.SIGTERM})
    del server


def start_server(file: Path, socket: str, context: int, slots: int, threads: int, cpu: bool) -> Any:
    """Return the running server, with the settings of the stage predict that concern answers."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(file)
    params.hostnames = [socket]
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0 if cpu else -1
    params.cache_ram_mib = 0
    params.fit_params = False
    params.warmup = False
    params.ui = False
    params.verbosity = 1  # errors
    return Server(params)


if __name__ == "__main__":
    main()
