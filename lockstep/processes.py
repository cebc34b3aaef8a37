"""A process ends with the one that started it."""

import ctypes
import os
import sys


def die_with_parent(number: int, parent: int) -> None:
    """Ask Linux for signal `number` when the parent dies, or end now if that has happened.

    Elsewhere a parent that is killed leaves us behind.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit(128 + number)
