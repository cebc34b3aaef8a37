"""Chunks are computed in new processes, in order, whatever threads this process has started."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep.data import parallel

ROOT = Path(__file__).parents[2]
needs_two_processors = pytest.mark.skipif(
    parallel.count_processors() < 2, reason="one processor computes all chunks itself"
)


def double_slowly(number: int) -> tuple[int, int, int]:
    """Return the double, the process and the number of its threads when the chunk arrives."""
    threads = len([*Path("/proc/self/task").iterdir()]) if sys.platform == "linux" else 1
    return 2 * number, os.getpid(), threads


def raise_at_seven(number: int) -> int:
    if number == 7:
        raise KeyError("seven")
    return number


def compute_and_die(parent: int) -> None:
    """End this process, if it is a worker, soon after it has sent its result."""
    if os.getpid() != parent:
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()


def die_at_once(parent: int) -> None:
    """End this process if it is a worker."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def repeat_slowly(value: int) -> Iterator[int]:
    """Yield a value until an error ends the test."""
    while True:
        yield value
        time.sleep(0.1)


def count_until_workers_compute() -> Iterator[int]:
    """Yield numbers until `seen` has the process ids of two workers."""
    number = 0
    while len(seen - {os.getpid()}) < 2:
        yield number
        number += 1


seen: set[int] = set()


@needs_two_processors
def test_results_are_in_order_and_come_from_processes_without_other_threads() -> None:
    seen.clear()
    results = []
    for result in parallel.map_chunks(double_slowly, count_until_workers_compute()):
        results.append(result)
        seen.add(result[1])
    assert [double for double, _, _ in results] == [2 * n for n in range(len(results))]
    assert {threads for _, process, threads in results if process != os.getpid()} == {1}


def test_few_chunks_are_computed_in_this_process() -> None:
    results = list(parallel.map_chunks(double_slowly, range(4)))
    assert {process for _, process, _ in results} == {os.getpid()}


def test_an_error_of_a_chunk_reaches_the_caller() -> None:
    results = parallel.map_chunks(raise_at_seven, range(10_000))
    with pytest.raises(KeyError, match="seven"):
        list(results)


@needs_two_processors
@pytest.mark.parametrize("function", [die_at_once, compute_and_die])
def test_a_worker_that_was_killed_is_named(function: Callable[[int], None]) -> None:
    """The second one is dead when it is given the next chunk."""
    with pytest.raises(MemoryError, match="a worker process was killed"):
        list(parallel.map_chunks(function, repeat_slowly(os.getpid())))


def test_chunks_have_limits() -> None:
    assert [len(chunk) for chunk in parallel.split_into_chunks("a" * 4001, len)] == [2000, 2000, 1]
    long = ["a" * 1_500_000] * 3
    assert [len(chunk) for chunk in parallel.split_into_chunks(long, len)] == [2, 1]


SEARCH = """
import random
from lockstep.data import near_duplicates
rng = random.Random(1)
words = ["".join(rng.choices("abcdefghij", k=6)) for _ in range(500)]
others = [" ".join(rng.choices(words, k=9)) for _ in range(21_000)]
texts = [f"{text} please" for text in others[:300]]
print(len(near_duplicates.find_near_texts(texts, others, 0.7)))
"""


def test_workers_start_after_a_library_has_started_threads() -> None:
    """rensa starts threads in this process for the few texts, then workers get the many."""
    process = subprocess.run(
        [sys.executable, "-c", SEARCH], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) > 290, "each of 300 texts is near the one that it repeats"
