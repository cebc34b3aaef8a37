"""Child processes that end when their parent process dies."""

import ctypes
import os
import sys

WORKER_FOLDER = "LOCKSTEP_RUN"
"""Environment variable of a worker process that a stage started: the scratch folder of the run."""


def die_with_parent(signal_number: int, parent: int) -> None:
    """Ask Linux to send a signal to this process when its parent dies.

    `parent` is the process id of the parent; exit at once if it is dead already. On other
    systems this does nothing, so this process outlives a parent that is killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal_number)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit(128 + signal_number)
