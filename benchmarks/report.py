"""Measure `evaluate` and `report` on generated answers: CPU seconds of each stage, and the memory.

`python -m benchmarks.report` writes the answers of three variants to 10,000 questions with 77
labels, as many as BANKING77 has (Casanueva et al., 2020), and runs both stages on them. It needs
the outputs of `make`, whose summaries it copies.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from lockstep import outputs, predictions
from lockstep.cli import runner
from lockstep.predictions import VARIANTS, Prediction

ROOT = Path(__file__).parents[1]
SKILLS = {"base": 1.0, "merged": 5.0, "quantized": 4.8}
"""Variant -> how far the score of the reference lies above those of the other labels."""
NO_LM_EVAL: dict[str, dict[str, float]] = {"suites": {}, "tasks": {}}
REPLACED = ("predicted", "human")
"""Folders of data/ that belong to the predictions of the sample."""


def generate_predictions(variant: str, records: int, labels: int) -> Iterator[Prediction]:
    """Yield random answers; all variants share the questions, references and part of the noise."""
    shared = np.random.default_rng(1)
    references = shared.integers(0, labels, records)
    noise = shared.normal(size=(records, labels))
    own = np.random.default_rng(VARIANTS.index(variant) + 2)
    scores = noise + 0.3 * own.normal(size=(records, labels))
    scores[np.arange(records), references] += SKILLS[variant]
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    names = [f"label_{number:03}" for number in range(labels)]
    for number, (reference, row) in enumerate(zip(references, scores.round(4), strict=True)):
        yield Prediction(
            id=f"{number:016x}",
            task="banking",
            slices={
                "language": ("en", "zh")[number % 2],
                "length": ("1-16", "17-64", "65-256")[number % 3],
                "source": f"part_{number % 5}.csv",
            },
            question=f"question {number} about {names[reference]}",
            prompt=f"{number:016x}",
            reference=names[reference],
            answer_form="choice",
            prediction=names[int(row.argmax())],
            option_scores=dict(zip(names, row.tolist(), strict=True)),
            loss=float(-row[reference]),
            tokens=3,
        )


def write_inputs(root: Path, records: int, labels: int) -> None:
    """Write params.yaml and data/ as the stages before evaluate would."""
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copytree(
        ROOT / "data",
        root / "data",
        ignore=lambda _, names: [n for n in names if n in REPLACED or n.endswith(".safetensors")],
    )
    (root / "data/human").mkdir()
    for variant in VARIANTS:
        folder = root / "data/predicted" / variant
        folder.mkdir(parents=True)
        predictions.write(
            folder / "predictions.jsonl", generate_predictions(variant, records, labels)
        )
        for name in ("perturbed.jsonl", "splits.jsonl"):
            predictions.write(folder / name, [])
        outputs.write_json(folder / "lm_eval.json", NO_LM_EVAL)


def time_stage(root: Path, *command: str) -> float:
    """Return the CPU time of a stage in seconds; its messages are shown."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(  # noqa: S603 (our own stages)
        [sys.executable, "-m", *command], cwd=root, env=environment, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@click.command(help=__doc__)
@click.option("--records", default=10_000, show_default=True, help="Number of answers.")
@click.option("--labels", default=77, show_default=True, help="Number of labels.")
def main(records: int, labels: int) -> None:
    """Write the answers and run both stages on them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_inputs(root, records, labels)
        (root / "reports").mkdir()
        seconds = {
            "evaluate": time_stage(root, "stages.evaluate", "data", "reports"),
            "report": time_stage(root, "stages.report", "data", "reports/details.json", "reports"),
        }
        sizes = {path.name: path.stat().st_size for path in sorted((root / "reports").glob("*.*"))}
    click.echo(f"{records:,} answers, {labels} labels, {len(VARIANTS)} variants")
    for stage, value in seconds.items():
        click.echo(f"  {stage:8} {value:6.1f} s of CPU")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    click.echo(f"  peak memory {memory:,.0f} MiB")
    for name, size in sizes.items():
        click.echo(f"  {name:14} {size / 1024:7,.0f} KiB")


if __name__ == "__main__":
    runner.run(main)
