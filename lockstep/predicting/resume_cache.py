"""Resume cache of an interrupted predict stage: the answers that the model gave before."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from lockstep import outputs
from lockstep.progress import track_progress

LIBRARIES = (
    "bitsandbytes",
    "tokenizers",
    "torch",
    "transformers",
    "vllm",
    "vllm-bnb-plugin",
    "xllamacpp",
)
"""Libraries whose version can change an answer."""

SCRATCH = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / "predict"
"""Folder of the caches. It lies outside the stage's outputs, which DVC empties before a run."""

Item = TypeVar("Item")


class ResumeCache:
    """Results for the parts of a list. Each part is saved in a file of its own."""

    def __init__(self, folder: Path, part_size: int) -> None:
        self.folder = folder
        self.part_size = part_size
        """Number of items between two saves."""

    def map(
        self, name: str, items: Sequence[Item], compute: Callable[[Sequence[Item]], list[Any]]
    ) -> list[Any]:
        """Apply `compute` to the items part by part and return all results, which must be JSON.

        A part that is in the cache is read from there. Every run divides the items into the same
        parts, so batches do not differ between runs.
        """
        results: list[Any] = []
        prefix = hashlib.sha256(name.encode()).hexdigest()[:16]
        with track_progress(f"predict: {name}", len(items), "records") as progress:
            for start in range(0, len(items), self.part_size):
                file = self.folder / f"{prefix}-{start}.json"
                if not file.exists():
                    part = items[start : start + self.part_size]
                    with outputs.atomic_file(file) as partial:
                        partial.write_text(json.dumps(compute(part)))
                results += json.loads(file.read_text())
                progress.move_to(start + self.part_size)
        return results


@contextmanager
def open_cache(root: Path, key: str, part_size: int) -> Iterator[ResumeCache]:
    """Open the resume cache of a key; it is removed when the block ends without an error.

    Another process with the same key waits.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = root / key
    with (root / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(folder.glob("*.json")):
            click.echo("predict: resuming from the answers given before", err=True)
        folder.mkdir(exist_ok=True)
        yield ResumeCache(folder, part_size)
        outputs.remove(folder)
