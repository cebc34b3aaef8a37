"""Worker processes: `parallel` starts this module, and each process computes chunk after chunk.

The function arrives pickled on standard input, so the first process imports everything that the
function needs. It then forks into one process for each connection. It has called no library by
then, so no process inherits threads that only its parent has.
"""

import gc
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from lockstep.processes import die_with_parent


def main(parent: int, *descriptors: int) -> None:
    """Serve a connection in this process and each further one in a fork of it."""
    die_with_parent(signal.SIGKILL, parent)
    gc.disable()  # chunks are many objects without cycles, and a worker ends soon
    function, initialize = pickle.load(sys.stdin.buffer)  # noqa: S301  # made by the parent
    initialize()
    connections = [Connection(descriptor) for descriptor in descriptors]
    for connection in connections[1:]:
        if os.fork() == 0:
            die_with_parent(signal.SIGKILL, os.getppid())
            _close_all(connections, connection)
            _serve(function, connection)
            os._exit(0)
    _close_all(connections, connections[0])
    _serve(function, connections[0])
    for _ in connections[1:]:
        os.wait()


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    """Send the result, or the error, of each chunk until the parent closes the connection."""
    with suppress(EOFError, ConnectionError):
        connection.send(None)  # ready
        while True:
            connection.send(_compute(function, connection.recv()))


def _compute(function: Callable[[Any], Any], chunk: Any) -> tuple[bool, Any]:
    try:
        return True, function(chunk)
    except Exception as error:  # of any class: the parent raises it
        return False, error


def _close_all(connections: list[Connection], own: Connection) -> None:
    for connection in connections:
        if connection is not own and not connection.closed:
            connection.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
