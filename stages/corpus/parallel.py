"""Work on many chunks, on all processors, with the results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

C = TypeVar("C")
R = TypeVar("R")

_FEW = 5
"""Chunks up to which other processes would cost more than they save."""


def each(function: Callable[[C], R], chunks: Iterable[C]) -> Iterator[R]:
    """The function's result for each chunk, in their order, whatever the number of processes.

    Function and chunks are pickled; chunks are taken only some steps ahead of the results.
    """
    coming = iter(chunks)
    first = list(islice(coming, _FEW))
    workers = processors()
    if len(first) < _FEW or workers == 1:
        yield from map(function, chain(first, coming))
        return
    with ProcessPoolExecutor(workers, initializer=_begin, initargs=(function,)) as pool:
        waiting: deque[Future[R]] = deque()
        for chunk in chain(first, coming):
            waiting.append(pool.submit(_run, chunk))
            if len(waiting) > 3 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_FUNCTION: list[Callable[[Any], Any]] = []
"""Of a worker process."""


def _begin(function: Callable[[Any], Any]) -> None:
    _FUNCTION[:] = [function]


def _run(chunk: Any) -> Any:
    return _FUNCTION[0](chunk)
