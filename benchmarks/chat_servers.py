"""Servers of the tuned sample model, each in processes of its own: ours, and those of others."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from ruamel.yaml import YAML

from lockstep.serving.engines.engine_process import LIMITS

ROOT = Path(__file__).parents[1]
SLOTS = 8
"""Number of answers that llama.cpp generates at a time, in both of its servers."""
START_SECONDS = 300.0
SETTINGS: dict[str, Any] = {
    "port": 0, "models": ["tuned"], "engine": "llama_cpp", "concurrent": SLOTS, "queued": 1000,
    "queue_seconds": 600.0, "request_seconds": 600.0, "requests_per_minute": 10**6,
    "tokens_per_minute": 10**9,
}  # fmt: skip
"""Changes of the section `serving`: no limit refuses a request, but all of them count."""

_ADDRESS = re.compile(r"serve: (http://\S+) answers")


@dataclass(frozen=True, slots=True)
class ChatServer:
    """A running server with OpenAI's /v1/chat/completions."""

    name: str
    url: str
    model: str
    """Name of the model in requests."""
    process: int
    """Id of the process that answers HTTP."""
    socket: str | None = None
    """Path of the Unix socket, if the server does not listen on a port."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further keys of a request."""

    def connect(self) -> httpx2.AsyncClient:
        """Return a client with a connection for each request."""
        transport = httpx2.AsyncHTTPTransport(uds=self.socket, limits=LIMITS)
        return httpx2.AsyncClient(transport=transport, base_url=self.url, timeout=600)

    def build_body(self, question: str, tokens: int, stream: bool) -> dict[str, Any]:
        """Return a request for the greedy answer to a question."""
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0.0,
            "max_tokens": tokens,
            "stream": stream,
            **self.options,
        }


@contextmanager
def start_gateway(data: Path, build: Path) -> Iterator[ChatServer]:
    """Run `make serve` with the models of a folder; exports are written to `build`."""
    build.mkdir(parents=True, exist_ok=True)
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params.yaml")
    values["serving"] = {**(values.get("serving") or {}), **SETTINGS}
    yaml.dump(values, build / "params.yaml")
    command = ["-m", "lockstep.serving", "--data", str(data.resolve()), "--build", str(build)]
    with _start_process(command, build) as (process, log):
        address = _wait(process, log, lambda: _ADDRESS.search(log.read_text(encoding="utf-8")))
        yield ChatServer("gateway", address[1], "tuned", process.pid)


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine process of a gateway."""

    process: int
    folder: Path
    arguments: list[str]
    """Arguments of Python: -m, the module, the GGUF file, the socket and options."""

    @property
    def socket(self) -> str:
        """Path of the Unix socket."""
        return self.arguments[3]


def find_engine(gateway: ChatServer) -> Engine:
    """Return the only engine of a gateway."""
    children = Path(f"/proc/{gateway.process}/task/{gateway.process}/children")
    (process,) = children.read_text(encoding="utf-8").split()
    folder = Path(f"/proc/{process}/cwd").resolve()
    arguments = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").split("\0")
    return Engine(int(process), folder, arguments[1:-1])


@contextmanager
def start_llama_cpp(engine: Engine) -> Iterator[ChatServer]:
    """Run the server of llama.cpp alone, with the arguments of the gateway's engine."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        path = str(Path(name, "llama.sock"))
        arguments = [path if part == engine.socket else part for part in engine.arguments]
        arguments[arguments.index("--parent") + 1] = str(os.getpid())
        arguments[2] = str(engine.folder / arguments[2])
        with _start_process(arguments, Path(name)) as (process, log):
            _wait(process, log, lambda: _is_healthy("http://engine", path))
            options = {"cache_prompt": False}
            yield ChatServer("llama.cpp", "http://engine", "tuned", process.pid, path, options)


@contextmanager
def start_transformers(folder: Path) -> Iterator[ChatServer]:
    """Run `transformers serve` on a folder."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = str(folder.resolve())
    command = ["-m", "transformers.cli.transformers", "serve", path, "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    threads = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")["compute"]["threads"]
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    with (
        tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name,
        _start_process(command, Path(name), environment) as (process, log),
    ):
        url = f"http://127.0.0.1:{port}"
        _wait(process, log, lambda: _is_healthy(url, None))
        yield ChatServer("transformers serve", url, path, process.pid)


@contextmanager
def _start_process(
    arguments: Sequence[str], folder: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run Python in a folder until the block ends; yield the process and the file of its output."""
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [sys.executable, *arguments],
            cwd=folder,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
    try:
        yield process, log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, check: Any) -> Any:
    """Return the first true result of `check`; fail if the process ends before."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if result := check():
            return result
        time.sleep(0.2)
    raise SystemExit(f"a server did not start:\n{log.read_text(encoding='utf-8')}")


def _is_healthy(url: str, path: str | None) -> bool:
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=path), base_url=url) as client:
            return client.get("/health").is_success
    except httpx2.HTTPError:
        return False


def read_memory(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(value) / 1024
