"""Parallel processing of chunks on all processors, with results in order."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_ITEMS, _MAX_CHARACTERS = 2000, 2_000_000
"""Limits of a chunk; it ends at whichever is reached first."""

_MIN_CHUNKS = 10
"""Minimum number of chunks for which starting worker processes saves time."""


def do_nothing() -> None:
    """Initialize nothing in a worker process."""


def map_chunks(
    function: Callable[[Item], Result],
    chunks: Iterable[Item],
    initialize: Callable[[], None] = do_nothing,
) -> Iterator[Result]:
    """Yield the function's result for each chunk, in the order of the chunks.

    The function, the chunks and the results are pickled. Workers are new processes, not copies of
    this one: a copy of a process whose libraries have started threads waits for them for ever.
    This process computes chunks itself until the workers have started. `initialize` is called once
    before the workers divide.

    A worker has one chunk at a time, so no pipe ever waits in both directions, and an interruption
    (Ctrl-C) leaves no process waiting. concurrent.futures and multiprocessing.Pool can hang in
    that case.
    """
    remaining = iter(chunks)
    first = list(islice(remaining, _MIN_CHUNKS))
    if len(first) < _MIN_CHUNKS or count_processors() == 1:
        yield from map(function, chain(first, remaining))
        return
    with _start_workers(function, initialize, count_processors()) as workers:
        pending: deque[Connection | _Computed] = deque()  # in the order of the chunks
        for chunk in chain(first, remaining):
            worker = workers.find_idle()
            if worker is not None:
                workers.send(worker, chunk)
                pending.append(worker)
            elif workers.starting:
                pending.append(_Computed(function(chunk)))
            else:
                worker, result = workers.receive_oldest(pending)
                workers.send(worker, chunk)  # before the caller uses the result, which takes time
                pending.append(worker)
                yield result
            while pending and isinstance(oldest := pending[0], _Computed):
                pending.popleft()
                yield oldest.result
        for waiting in pending:
            yield waiting.result if isinstance(waiting, _Computed) else workers.receive(waiting)


def split_into_chunks(
    items: Iterable[Item], count_characters: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """Yield the items in lists of a few megabytes at most."""
    chunk: list[Item] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += count_characters(item)
        if len(chunk) == _MAX_ITEMS or characters >= _MAX_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def count_processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class _Computed:
    """A result that this process computed."""

    result: Any


@dataclass(slots=True)
class _Workers:
    """Connections to worker processes."""

    process: subprocess.Popen[bytes]
    """The first worker, the parent of all others."""
    starting: list[Connection]
    """Workers that have not said yet that they are ready."""
    idle: list[Connection] = field(default_factory=list)
    """Workers that have not had a chunk yet."""

    def find_idle(self) -> Connection | None:
        """Return a worker that has no chunk and had none before, or None."""
        for connection in [worker for worker in self.starting if worker.poll()]:
            self._read(connection)  # says that it is ready
            self.starting.remove(connection)
            self.idle.append(connection)
        return self.idle.pop() if self.idle else None

    def send(self, worker: Connection, chunk: Any) -> None:
        """Give a worker a chunk; raise an error that says how it ended if it did."""
        try:
            worker.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            self._raise_end()

    def receive_oldest(self, pending: deque[Connection | _Computed]) -> tuple[Connection, Any]:
        """Return the worker that has had its chunk for longest, and the result."""
        worker = pending.popleft()
        if isinstance(worker, _Computed):
            raise TypeError("results of this process are yielded at once")
        return worker, self.receive(worker)

    def receive(self, worker: Connection) -> Any:
        """Return the result of the worker's chunk, or raise its error."""
        succeeded, result = self._read(worker)
        if not succeeded:
            raise result
        return result

    def _read(self, worker: Connection) -> Any:
        try:
            return worker.recv()
        except (EOFError, ConnectionResetError):
            self._raise_end()

    def _raise_end(self) -> NoReturn:
        """Raise an error that says how a worker ended."""
        time.sleep(0.2)  # a signal that ended the worker may be about to reach this process too
        if (code := self.process.poll()) and code > 0:  # its traceback is on stderr
            raise RuntimeError(f"a worker process ended with code {code}") from None
        raise MemoryError("a worker process was killed, most often for lack of memory") from None


@contextmanager
def _start_workers(
    function: Callable[[Item], Result], initialize: Callable[[], None], number: int
) -> Iterator[_Workers]:
    """Yield connections to new worker processes, which end when the block ends."""
    pairs = [multiprocessing.Pipe() for _ in range(number)]
    descriptors = [worker_end.fileno() for _, worker_end in pairs]
    with _block_signals(), tempfile.TemporaryFile() as pickled:
        pickle.dump((function, initialize), pickled)
        pickled.seek(0)
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", "lockstep.data.worker", *map(str, (os.getpid(), *descriptors))],
            stdin=pickled,
            pass_fds=descriptors,
            env=_make_environment(),
            process_group=0,  # Ctrl-C reaches this process alone, which ends its workers
        )
        for _, worker_end in pairs:
            worker_end.close()
    workers = _Workers(process, [parent_end for parent_end, _ in pairs])
    try:
        yield workers
        for parent_end, _ in pairs:
            parent_end.close()  # so that the workers end
        if not workers.starting:
            process.wait()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _make_environment() -> dict[str, str]:
    """Return the environment of the workers, which find the modules that this process finds.

    Their libraries start no threads: numpy's would be lost in a fork, and there is a worker for
    each processor already.
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    return os.environ | {"PYTHONPATH": path} | one_thread


@contextmanager
def _block_signals() -> Iterator[None]:
    """Delay signals until every worker has started, so that all of them can be ended."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
