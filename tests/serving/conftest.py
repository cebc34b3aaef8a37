"""A running server with the starter and a tiny model, and a scripted engine for the gateway."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import uvicorn

from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer
from lockstep.serving.api.http_protocol import build_config
from lockstep.serving.api.request_limits import Slots
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.engines.engine_protocol import EngineError, Generation, Part
from lockstep.serving.gateway import create_app
from lockstep.serving.logs.log_files import REQUESTS, read_log
from lockstep.serving.logs.request_log import RequestRecord
from lockstep.serving.served_model import ServedModel
from lockstep.serving.serving_params import ServingParams
from tests.conftest import REPOSITORY, STARTER, write_params

ADDRESS = re.compile(rb"serve: (http://\S+) answers")

SETTINGS: dict[str, Any] = {
    "predict.max_new_tokens": 40,
    "serving.port": 0,
    "serving.requests_per_minute": 0,
    "serving.tokens_per_minute": 0,
    "serving.receive_seconds": 1.0,
    "serving.log_folder": "logs",
}


def find_tool(name: str) -> str:
    """Return the path of a program of .ci/install_test_tools; skip where it is absent."""
    path = os.pathsep.join([os.environ["PATH"], str(REPOSITORY / "build/tools/usr/bin")])
    return shutil.which(name, path=path) or pytest.skip(
        f"{name} is not installed: bash .ci/install_test_tools"
    )


class RunningServer:
    """A process of `make serve`."""

    def __init__(self, folder: Path, changes: dict[str, Any]) -> None:
        write_params(folder, {**SETTINGS, **changes})
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lockstep.serving"],
                cwd=folder,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        self.url = self._wait_for_address()

    def _wait_for_address(self) -> str:
        for _ in range(600):
            if match := ADDRESS.search(self.log.read_bytes()):
                return match[1].decode()
            try:
                self.process.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(self.log.read_text())

    def find_engines(self) -> list[int]:
        """Return the ids of the engines' processes."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in path.read_text().split()]


@contextmanager
def run_server(folder: Path, changes: dict[str, Any]) -> Iterator[RunningServer]:
    """Run a server until the block ends."""
    server = RunningServer(folder, changes)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)


@pytest.fixture(scope="session")
def served_folder(
    tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path, tiny_model: Path
) -> Path:
    """Folder whose data/ has the starter as the tuned model and a random one as the base."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    for name, model in (("quantized", starter_gguf), ("merged", STARTER), ("base", tiny_model)):
        (folder / "data" / name).symlink_to(model)
    return folder


@pytest.fixture(scope="session")
def server(served_folder: Path) -> Iterator[RunningServer]:
    with run_server(served_folder, {}) as server:
        yield server


@pytest.fixture(scope="session")
def starter_tokenizer() -> ChatTokenizer:
    return loading.load_tokenizer(STARTER)


class ScriptedEngine:
    """An engine that stands for an external program: it says one text, token by token."""

    def __init__(self, tokenizer: ChatTokenizer, text: str) -> None:
        self.ids = tokenizer.encode_answer(text)
        self.release = asyncio.Event()
        """Set when the engine may answer."""
        self.release.set()
        self.fails_after: int | None = None
        """Number of tokens after which the engine breaks off."""
        self.seen: list[Generation] = []
        self.running = 0
        self.most_running = 0

    async def check(self) -> bool:
        return True

    async def generate(self, generation: Generation) -> AsyncGenerator[Part, None]:
        self.seen.append(generation)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.release.wait()
            for number, token in enumerate(self.ids[: generation.max_tokens]):
                if number == self.fails_after:
                    raise EngineError("it broke")
                await asyncio.sleep(0)
                yield Part([token])
        finally:
            self.running -= 1

    async def classify(self, prompts: list[list[int]]) -> list[list[float]]:
        return [[-1.0, 2.5] for _ in prompts]


class Gateway:
    """A gateway in this process, with the records that it hands to loggers."""

    def __init__(self, tokenizer: ChatTokenizer, keys: ApiKeys, changes: dict[str, Any]) -> None:
        self.settings = ServingParams(**changes)
        self.engine = ScriptedEngine(tokenizer, "Order 4711 has been shipped.")
        self.records: list[RequestRecord] = []
        slots = Slots(self.settings.concurrent, self.settings.queued, self.settings.queue_seconds)
        self.model = ServedModel(
            "tuned", tokenizer, self.engine, slots, context=64, max_length=64, default_tokens=40
        )
        self.models = {"tuned": self.model}
        self.app = create_app(self.settings, self.models, keys, [self])
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app), base_url="http://localhost"
        )

    def log(self, record: RequestRecord) -> None:
        self.records.append(record)

    async def ask(self, text: str = "Where is it?", **values: Any) -> httpx2.Response:
        body = {"model": "tuned", "messages": [{"role": "user", "content": text}], **values}
        return await self.client.post("/v1/chat/completions", json=body)

    async def post(self, path: str, **values: Any) -> httpx2.Response:
        return await self.client.post(path, json={"model": "tuned", **values})


@contextmanager
def listen(gateway: Gateway) -> Iterator[uvicorn.Server]:
    """Answer HTTP on a port of this machine, in a thread; `read_port` returns the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(build_config(gateway.app, gateway.settings))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server
        server.should_exit = True
        thread.join()


def read_port(server: uvicorn.Server) -> int:
    """Return the port on which a server listens."""
    return int(server.servers[0].sockets[0].getsockname()[1])


BuildGateway = Callable[..., Gateway]


@pytest.fixture
def build_gateway(starter_tokenizer: ChatTokenizer) -> BuildGateway:
    """Function from settings, and from hashes of API keys, to a gateway."""

    def build(hashes: dict[str, bytes] | None = None, **changes: Any) -> Gateway:
        return Gateway(starter_tokenizer, ApiKeys(hashes or {}), changes)

    return build


def wait_for_lines(folder: Path, number: int, name: str = REQUESTS) -> list[dict[str, Any]]:
    """Return the lines of a log when there are at least so many."""
    for _ in range(500):
        if len(lines := list(read_log(folder, name))) >= number:
            return lines
        time.sleep(0.01)
    raise AssertionError(lines)


def read_events(text: str) -> list[Any]:
    """Return the values of the events of a stream; the last may be the text [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def join_deltas(events: list[Any]) -> str:
    """Return the text of a streamed chat."""
    return "".join(
        choice["delta"].get("content", "")
        for event in events
        if event != "[DONE]"
        for choice in event.get("choices", [])
    )
