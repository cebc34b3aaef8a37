"""Resume cache of an interrupted evaluation: the answers that a model has given already."""

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

LIBRARIES = ("bitsandbytes", "tokenizers", "torch", "transformers", "vllm", "vllm-bnb-plugin")
"""Distributions whose version can change an answer."""

SCRATCH = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / "evaluate"
"""Folder of the caches, outside the stage's outputs, which DVC empties before a stage starts."""

Item = TypeVar("Item")


class ResumeCache:
    """Results for the parts of a list, each part in a file of its own."""

    def __init__(self, folder: Path, part_size: int) -> None:
        self.folder = folder
        self.part_size = part_size
        """Number of items between two saves."""

    def map(
        self, name: str, items: Sequence[Item], work: Callable[[Sequence[Item]], list[Any]]
    ) -> list[Any]:
        """Apply `work` to the items part by part and return all results, which are of JSON's types.

        A part that is in the cache is read from there. Parts are the same in every run, so that
        what is batched together is the same, too.
        """
        results: list[Any] = []
        for start in range(0, len(items), self.part_size):
            file = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}-{start}.json"
            if not file.exists():
                with outputs.atomic_file(file) as partial:
                    partial.write_text(json.dumps(work(items[start : start + self.part_size])))
            results += json.loads(file.read_text())
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
            click.echo("evaluate: resuming from the answers given before", err=True)
        folder.mkdir(exist_ok=True)
        yield ResumeCache(folder, part_size)
        outputs.remove(folder)
