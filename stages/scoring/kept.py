"""What an interrupted evaluation has scored already, found again by all that determines it."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import click

from stages import outputs
from stages.machine import machine_class

LIBRARIES = ("bitsandbytes", "tokenizers", "torch", "transformers", "vllm", "vllm-bnb-plugin")

MODULES = (
    "chat.py",
    "compute.py",
    "corpus/language.py",
    "evaluate.py",
    "models.py",
    "outputs.py",
    "params.py",
    "prefix.py",
    "records.py",
    "scoring/aggregates.py",
    "scoring/answering.py",
    "scoring/batches.py",
    "scoring/calls.py",
    "scoring/efficiency.py",
    "scoring/engine.py",
    "scoring/evaluation.py",
    "scoring/figures.py",
    "scoring/generation.py",
    "scoring/harness.py",
    "scoring/heads.py",
    "scoring/kept.py",
    "scoring/labelled.py",
    "scoring/likelihood.py",
    "scoring/metrics.py",
    "scoring/predictions.py",
    "scoring/refusals.py",
    "scoring/retrieval.py",
    "scoring/rules.py",
    "scoring/sampling.py",
    "scoring/schemas.py",
    "scoring/scores.py",
    "scoring/settings.py",
    "scoring/stability.py",
    "scoring/statistics.py",
    "scoring/suites.py",
    "scoring/texts.py",
    "scoring/variations.py",
    "scoring/windows.py",
    "scoring/writers.py",
)
"""Below stages/: those that evaluate imports, as dvc.yaml has them too; with another text they may
score otherwise."""

SCRATCH = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / "evaluate"

Item = TypeVar("Item")


class Kept:
    """Results of parts of a list, each in a file."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        """Items of a part."""

    def through(
        self, name: str, items: Sequence[Item], work: Callable[[Sequence[Item]], list[Any]]
    ) -> list[Any]:
        """What `work` makes of the items, part by part; of JSON's types.

        Parts are the same in every run, so that what is batched together is, too.
        """
        found: list[Any] = []
        for start in range(0, len(items), self.size):
            file = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}-{start}.json"
            if not file.exists():
                with outputs.file(file) as partial:
                    partial.write_text(json.dumps(work(items[start : start + self.size])))
            found += json.loads(file.read_text())
        return found


@contextmanager
def opened(root: Path, size: int, *determining: Any) -> Iterator[Kept]:
    """What is kept of an evaluation that these inputs, parameters and files determine.

    It is forgotten when the block ends well. Another process with the same ones waits.
    """
    libraries = {name: _version(name) for name in LIBRARIES}
    text = json.dumps([determining, libraries, machine_class()], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    folder = root / key
    with (root / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(folder.glob("*.json")):
            click.echo("evaluate: goes on from what was scored before", err=True)
        folder.mkdir(exist_ok=True)
        yield Kept(folder, size)
        outputs.remove(folder)


def code() -> list[str]:
    """Digests of the modules that score; another text of them scores anew."""
    stages = Path(__file__).parents[1]
    return [outputs.digest(stages / name) for name in MODULES]


def _version(library: str) -> str | None:
    """None of one that is an extra and not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None
