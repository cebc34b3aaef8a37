"""Parallel processing of chunks on all processors, with results in order."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from lockstep.processes import die_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_ITEMS, _MAX_CHARACTERS = 2000, 2_000_000
"""Limits of a chunk; it ends at whichever is reached first."""

_MIN_CHUNKS = 5
"""Minimum number of chunks for which starting worker processes saves time."""


def map_chunks(function: Callable[[Item], Result], chunks: Iterable[Item]) -> Iterator[Result]:
    """Yield the function's result for each chunk, in the order of the chunks.

    The function, the chunks and the results are pickled. A worker process has one chunk at a
    time, so no pipe ever waits in both directions, and an interruption (Ctrl-C) leaves no process
    waiting. concurrent.futures and multiprocessing.Pool can hang in that case.
    """
    remaining = iter(chunks)
    first = list(islice(remaining, _MIN_CHUNKS))
    if len(first) < _MIN_CHUNKS or count_processors() == 1:
        yield from map(function, chain(first, remaining))
        return
    with _start_workers(function, count_processors()) as idle:
        busy: deque[Connection] = deque()
        for chunk in chain(first, remaining):
            if idle:
                worker = idle.pop()
                worker.send(chunk)
                busy.append(worker)
                continue
            worker = busy.popleft()
            result = _receive_result(worker)
            worker.send(chunk)  # before the caller uses the result, which takes time
            busy.append(worker)
            yield result
        while busy:
            yield _receive_result(busy.popleft())


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


@contextmanager
def _start_workers(function: Callable[[Item], Result], number: int) -> Iterator[list[Connection]]:
    """Yield connections to new worker processes, which are killed when the block ends."""
    processes: list[multiprocessing.Process] = []
    connections = []
    try:
        with _block_signals():
            for _ in range(number):
                parent_end, worker_end = multiprocessing.Pipe()
                arguments = (function, worker_end, os.getpid())
                process = multiprocessing.Process(target=_run_worker, args=arguments, daemon=True)
                process.start()
                processes.append(process)
                connections.append(parent_end)
                worker_end.close()
        yield connections
    finally:
        for process in processes:
            process.kill()
            process.join()


def _run_worker(function: Callable[[Item], Result], chunks: Connection, parent: int) -> None:
    """Send back the result, or the error, of each chunk until the parent kills this process."""
    die_with_parent(signal.SIGKILL, parent)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT})  # the parent ends its workers
    while True:
        chunk = chunks.recv()
        try:
            outcome: tuple[bool, Any] = True, function(chunk)
        except Exception as error:  # of any class: the parent raises it
            outcome = False, error
        chunks.send(outcome)


def _receive_result(worker: Connection) -> Any:
    try:
        succeeded, result = worker.recv()
    except EOFError:
        time.sleep(0.2)  # a signal that ended the worker may be about to reach this process too
        raise MemoryError("a worker process was killed, most often for lack of memory") from None
    if not succeeded:
        raise result
    return result


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
