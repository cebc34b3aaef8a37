"""Work on many chunks, on all processors, with the results in order."""

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

C = TypeVar("C")
R = TypeVar("R")

_ITEMS, _CHARACTERS = 2000, 2_000_000
"""Of a chunk, whichever comes first."""

_FEW = 5
"""Chunks up to which other processes would cost more than they save."""


def each(function: Callable[[C], R], chunks: Iterable[C]) -> Iterator[R]:
    """The function's result for each chunk, in their order, whatever the number of processes.

    Function, chunks and results are pickled. A process has one chunk at a time, so a pipe never
    waits in both directions, and one that is stopped midway (Ctrl-C) leaves nobody waiting:
    concurrent.futures and multiprocessing.Pool can hang then.
    """
    coming = iter(chunks)
    first = list(islice(coming, _FEW))
    if len(first) < _FEW or processors() == 1:
        yield from map(function, chain(first, coming))
        return
    with _workers(function, processors()) as idle:
        busy: deque[Connection] = deque()
        for chunk in chain(first, coming):
            if idle:
                worker = idle.pop()
                worker.send(chunk)
                busy.append(worker)
                continue
            worker = busy.popleft()
            result = _result(worker)
            worker.send(chunk)  # before the result is used, which takes its time
            busy.append(worker)
            yield result
        while busy:
            yield _result(busy.popleft())


def chunks(items: Iterable[C], length: Callable[[C], int]) -> Iterator[list[C]]:
    """The items in lists of a few megabytes at most; `length` gives an item's characters."""
    chunk: list[C] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += length(item)
        if len(chunk) == _ITEMS or characters >= _CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _workers(function: Callable[[C], R], number: int) -> Iterator[list[Connection]]:
    """Connections to as many processes, which end with the block."""
    processes: list[multiprocessing.Process] = []
    connections = []
    try:
        with _deaf_to_signals():
            for _ in range(number):
                ours, theirs = multiprocessing.Pipe()
                arguments = (function, theirs, os.getpid())
                process = multiprocessing.Process(target=_work, args=arguments, daemon=True)
                process.start()
                processes.append(process)
                connections.append(ours)
                theirs.close()
        yield connections
    finally:
        for process in processes:
            process.kill()
            process.join()


def _work(function: Callable[[C], R], chunks: Connection, parent: int) -> None:
    """What a process does: a result, or the error that came instead, for each chunk."""
    die_with_parent(signal.SIGKILL, parent)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT})  # the parent ends us
    while True:
        chunk = chunks.recv()
        try:
            answer: tuple[bool, Any] = True, function(chunk)
        except Exception as error:  # whatever it is, it is the other side's to raise
            answer = False, error
        chunks.send(answer)


def _result(worker: Connection) -> Any:
    try:
        done, answer = worker.recv()
    except EOFError:
        time.sleep(0.2)  # what ended the worker may be a signal that is about to reach us, too
        raise MemoryError("a worker process was killed, most often for lack of memory") from None
    if not done:
        raise answer
    return answer


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Signals wait until every worker is started, and known to those who will end it."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
