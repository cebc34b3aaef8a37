"""Engine processes: start them, notice when they die, start them again and end them."""

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2

from lockstep.errors import UserError
from lockstep.serving.engines.engine_protocol import SocketEngine

log = logging.getLogger("lockstep.serving")

CHECK_SECONDS = 0.05
"""Time between two checks of an engine that starts."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Pause before an engine that died is started again, in seconds; it doubles each time."""

LIMITS = httpx2.Limits(max_keepalive_connections=0)
"""Limits of the client: each request has a connection of its own.

llama.cpp's server sometimes closes a connection on which the next request is already under way.
"""

START_SECONDS = 600.0
"""Longest time in which an engine may load its model."""

STOP_SECONDS = 5.0
"""Time after SIGTERM before an engine is killed."""


class EngineProcess:
    """An engine in a process of its own."""

    def __init__(
        self,
        name: str,
        build_command: Callable[[str], Sequence[str]],
        build_engine: Callable[[httpx2.AsyncBaseTransport], SocketEngine],
    ) -> None:
        """Prepare an engine.

        `build_command(socket)` returns the arguments of Python, `build_engine(transport)` the
        client of the process.
        """
        self.name, self.build_command = name, build_command
        # the path of a socket has at most 104 characters; the folder is this user's alone
        self._folder = tempfile.TemporaryDirectory(
            prefix="lockstep-engine-", dir=_find_short_folder()
        )
        self.socket = str(Path(self._folder.name, "engine.sock"))
        self.engine = build_engine(httpx2.AsyncHTTPTransport(uds=self.socket, limits=LIMITS))
        self.is_ready = False
        """Whether the engine answers."""
        self.restarts = 0
        """Number of times that the engine was started again."""
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the engine and wait until it answers; raise UserError if it ends before."""
        if not await self._launch():
            await self.stop()
            raise UserError(
                f"the engine of {self.name} does not start (its messages are above); run `dvc "
                "repro` to create the model again, or choose another serving.engine"
            )
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End the engine and remove its socket."""
        self.is_ready = False
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._end_process()
        await self.engine.close()
        self._folder.cleanup()

    async def _launch(self) -> bool:
        """Start a process, and return whether it answers in the end."""
        Path(self.socket).unlink(missing_ok=True)
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self.build_command(self.socket),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the gateway alone
            )
        except OSError as error:  # no memory, or too many processes or files
            log.error("the engine of %s: %s", self.name, error.strerror)
            return False
        loop = asyncio.get_running_loop()
        limit = loop.time() + START_SECONDS
        while process.returncode is None and loop.time() < limit:
            if Path(self.socket).exists() and await self.engine.check():
                self.is_ready = True
                return True
            await asyncio.sleep(CHECK_SECONDS)
        await self._end_process()
        return False

    async def _watch(self) -> None:
        """Start the engine again whenever it dies."""
        pause = FIRST_PAUSE
        while True:
            if self._process:
                await self._process.wait()
                self.is_ready = False
                status = self._process.returncode
                log.error("the engine of %s ended with status %s", self.name, status)
            await asyncio.sleep(pause)
            self.restarts += 1
            started = await self._launch()
            pause = FIRST_PAUSE if started else min(2 * pause, LONGEST_PAUSE)
            log.info("the engine of %s %s", self.name, "is back" if started else "does not start")

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _find_short_folder() -> str | None:
    """Return the parent of the socket's folder; None is the usual one."""
    is_short = len(os.fsencode(tempfile.gettempdir())) <= 70
    return None if is_short else "/tmp"  # noqa: S108 - the folder in it has a random name
