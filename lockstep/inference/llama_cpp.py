"""Load a GGUF file with llama.cpp and send requests to its server, without a network.

The server of llama.cpp runs in threads of this process. It listens on a Unix socket in a folder
that only this user can read, so it opens no port. docs/quantization.md says which of its settings
could change an answer, and how they are set.
"""

import http.client
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lockstep.errors import UserError
from lockstep.models import compute

GREEDY = {"temperature": 0.0, "samplers": ["temperature"]}
"""Options of a request that choose the most likely token; a GGUF file may suggest others."""

SMALLEST_CONTEXT = 512
"""Number of tokens of a context at first; it is doubled until a request fits."""

BATCH = 512
"""Maximum number of prompt tokens in one forward pass. A signal waits for the end of a pass."""

SMALL_FILE = 32 * 2**20
"""Size in bytes below which one thread computes. Several are no faster for a small model, and many
times slower if other processes use the cores: llama.cpp waits for all of them at each operation."""

MAX_FOLDER_LENGTH = 70
"""Longest path of a temporary folder in which the path of a socket is short enough.

Systems allow 108 bytes (Linux) or 104 (macOS), and cluster jobs often have long folders.
"""

LAST_MESSAGE = "exiting due to model loading error"
"""Message of llama.cpp's server after all others about a file that it cannot load."""

_LOG_PREFIX = re.compile(r"\S+ E (?:\w+ +)?\w+: (?:error loading model: )?")
"""Time, level and place before a message of llama.cpp."""


class LlamaCpp:
    """The model of a GGUF file in llama.cpp; the file is loaded at the first request."""

    def __init__(self, file: Path, slots: int = 1) -> None:
        """Remember a file. `slots` is the number of prompts that are answered in one batch.

        With one slot an answer does not depend on other prompts.
        """
        self.file, self.slots = file, slots
        self.context = 0
        """Number of tokens of a prompt with its answer that fit at present."""
        self._server: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "LlamaCpp":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unload the model."""
        self._server, self.context = None, 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def read(self, prompt: list[int]) -> None:
        """Compute the keys and values of a prompt, which later requests with `cache_prompt` use.

        Nothing that an earlier request computed is used.
        """
        self.complete(prompt, 1, **GREEDY)

    def complete(self, prompt: list[int], max_tokens: int, **options: Any) -> dict[str, Any]:
        """Return the server's reply to a prompt: `tokens`, and what `options` request."""
        (reply,) = self.complete_batch([prompt], max_tokens, **options)
        return reply

    def complete_batch(
        self, prompts: Sequence[list[int]], max_tokens: int, **options: Any
    ) -> list[dict[str, Any]]:
        """Return the server's replies to prompts, as many at a time as there are slots."""
        self.load(max(map(len, prompts)) + max_tokens)
        replies = self.post(
            "/completion",
            {
                "prompt": list(prompts),
                "n_predict": max_tokens,
                "cache_prompt": False,
                "return_tokens": True,
                "mirostat": 0,
                "response_fields": [
                    "completion_probabilities",
                    "stop_type",
                    "timings",
                    "tokens",
                ],
                **options,
            },
        )
        return replies if isinstance(replies, list) else [replies]

    def load(self, context: int) -> None:
        """Load the model with room for `context` tokens in each slot, unless it has that room.

        Raise UserError if llama.cpp cannot load the file.
        """
        if context <= self.context:
            return
        room = SMALLEST_CONTEXT
        while room < context:
            room *= 2
        self.close()
        self._folder = tempfile.TemporaryDirectory(prefix="llama-cpp-", dir=_find_socket_folder())
        with _capture_stderr() as messages:
            try:
                self._server = self._start_server(room, Path(self._folder.name))
            except RuntimeError:
                reason = _read_reason(messages)
                raise UserError(
                    f"{self.file}: llama.cpp cannot load it ({reason}); run `dvc repro` to create "
                    "it again"
                ) from None
        self.context = room

    def post(self, route: str, request: dict[str, Any]) -> Any:
        """Return the answer of the loaded server to a request; raise RuntimeError if it fails."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self._server.listening_address.removeprefix("unix://"))
            connection.request("POST", route, json.dumps(request))
            response = connection.getresponse()
            reply = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise RuntimeError(f"{self.file}: llama.cpp: {reply['error']['message']}")
        return reply

    def _count_threads(self) -> int:
        """Return `compute.threads`, which torch has, or 1 for a small file."""
        import torch

        is_small = self.file.exists() and self.file.stat().st_size < SMALL_FILE
        return 1 if is_small else torch.get_num_threads()

    def _start_server(self, room: int, folder: Path) -> Any:
        from xllamacpp import CommonParams, Server

        params = CommonParams()
        params.model.path = str(self.file)
        params.hostnames = [str(folder / "llama.sock")]
        params.n_parallel = self.slots
        params.n_ctx = room * self.slots
        params.n_batch = params.n_ubatch = BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._count_threads()
        params.n_gpu_layers = 0 if compute.select_device() == "cpu" else -1
        params.cache_ram_mib = 0  # no answer uses what an earlier prompt computed
        params.fit_params = False  # the memory of this machine must not change the settings
        params.warmup = False
        params.ui = False
        params.verbosity = 1  # errors
        return Server(params)


def _find_socket_folder() -> str | None:
    """Return the parent of the socket's folder; None is the usual one."""
    if len(os.fsencode(tempfile.gettempdir())) <= MAX_FOLDER_LENGTH:
        return None
    return "/tmp"  # noqa: S108 - the folder in it has a random name and is this user's alone


@contextmanager
def _capture_stderr() -> Iterator[IO[bytes]]:
    """Redirect to a temporary file what native code writes to stderr."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _read_reason(messages: IO[bytes]) -> str:
    """Return the first error that llama.cpp has logged, after it has logged its last one.

    Another thread writes its log.
    """
    for _ in range(40):
        messages.seek(0)
        text = messages.read().decode(errors="replace")
        if LAST_MESSAGE in text:
            return _LOG_PREFIX.sub("", text.splitlines()[0], count=1)[:200]
        time.sleep(0.05)
    return "it gives no reason"
