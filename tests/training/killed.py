"""Run a stage and kill it in its Nth call of torch.save: `killed.py N stages.train …`.

The file that is being written is left truncated to half its length.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import torch


def main() -> None:
    remaining, name = int(sys.argv[1]), sys.argv[2]
    write = torch.save

    def save(value: Any, path: Any, *arguments: Any, **options: Any) -> None:
        nonlocal remaining
        write(value, path, *arguments, **options)
        remaining -= 1
        if not remaining:
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save
    del sys.argv[1:3]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
