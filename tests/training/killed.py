"""Run a stage that SIGKILL ends in the middle of its Nth torch.save: `killed.py N stages.train …`.

The file that was being written is left half as long.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import torch


def main() -> None:
    left, name = int(sys.argv[1]), sys.argv[2]
    write = torch.save

    def save(value: Any, path: Any, *arguments: Any, **options: Any) -> None:
        nonlocal left
        write(value, path, *arguments, **options)
        left -= 1
        if not left:
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save
    del sys.argv[1:3]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
