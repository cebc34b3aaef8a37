"""Measure `prepare` on generated rows: rows per second, memory, and the ratio to other tools.

`datasets` and datasketch do the same cleaning, deduplication and splitting. Seconds depend on the
machine, so compare the ratios.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from lockstep.cli import runner
from lockstep.data import personal_data
from lockstep.data.cleaning.cleaner import Cleaner

ROOT = Path(__file__).parents[1]
STEPS: Any = [
    "encoding", "unicode", "invisible", "html", "width", "punctuation", "boilerplate",
    "personal_data", "space",
]  # fmt: skip
BOILERPLATE = ["^Sent from .*$"]
NOISE = [
    "order 4512,", "ÃŸ", "<b>now</b>", "a@b.example", "&amp;", "ＡＢ１２", "\u200b", "  ",
    "4111 1111 1111 1111", "\nSent from a phone",
]  # fmt: skip


def generate_rows(number: int) -> Iterator[dict[str, str]]:
    """Yield random rows of about 200 characters.

    3% are duplicates, 3% near-duplicates, 10% need cleaning.
    """
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    english = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    chinese = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
    row: dict[str, str] = {}
    for _ in range(number):
        chance = rng.random()
        if row and chance < 0.06:
            row = {**row, "prompt": row["prompt"] + " ok" * (chance < 0.03)}
        elif chance < 0.2:
            texts = ("".join(rng.choices(chinese, k=k)) for k in (60, 50))
            row = {**dict(zip(("prompt", "completion"), texts, strict=True)), "language": "zh"}
        else:
            texts = (" ".join(rng.choices(english, k=k)) for k in (17, 16))
            row = {**dict(zip(("prompt", "completion"), texts, strict=True)), "language": "en"}
        if rng.random() < 0.1:
            row = {**row, "completion": f"{row['completion']} {rng.choice(NOISE)}"}
        yield row


def measure_prepare(folder: Path, file: str) -> float:
    """Return the wall time of the stage in seconds, run as DVC runs it."""
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text("utf-8"))
    source = {"path": file, "format": "prompt_completion", "task": "t", "slices": ["language"]}
    values["prepare"] |= {"sources": [source], "clean": STEPS, "boilerplate": BOILERPLATE}
    values["prepare"]["decontaminate"] = {"words": 13}
    values["prepare"]["split"]["by"] = ["language"]
    yaml.dump(values, folder / "params.yaml")
    environment = {k: v for k, v in os.environ.items() if k != "DVC_STAGE"}
    started = time.perf_counter()
    subprocess.run(  # noqa: S603  # our own stage
        [sys.executable, "-m", "stages.prepare", "raw", f"out-{file}"],
        cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - started


def measure_datasketch(file: Path, scratch: Path) -> float:
    """Return the wall time in seconds of the same steps by `datasets` and datasketch."""
    import datasets
    import ftfy
    from datasketch import MinHash, MinHashLSH

    datasets.disable_progress_bars()
    started = time.perf_counter()
    data = datasets.load_dataset("json", data_files=str(file), cache_dir=str(scratch))["train"]
    cleaner = Cleaner(
        ["invisible", "html", "width", "punctuation", "boilerplate", "space"], BOILERPLATE
    )

    def clean_row(row: dict[str, str]) -> dict[str, str]:
        texts = (ftfy.fix_text(row[name]) for name in ("prompt", "completion"))
        done = [
            cleaner.clean(personal_data.mask_personal_data(unicodedata.normalize("NFC", t)))[0]
            for t in texts
        ]
        return {"prompt": done[0], "completion": done[1]}

    data = data.map(clean_row, num_proc=len(os.sched_getaffinity(0)))
    seen: set[tuple[str, str]] = set()
    index = MinHashLSH(threshold=0.8, num_perm=64)
    selected = []
    for number, row in enumerate(data):
        if (row["prompt"], row["completion"]) in seen:
            continue
        seen.add((row["prompt"], row["completion"]))
        sketch = MinHash(num_perm=64)
        text = row["prompt"]
        sketch.update_batch([text[i : i + 5].encode() for i in range(max(1, len(text) - 4))])
        if not index.query(sketch):
            selected.append(number)
        index.insert(number, sketch)
    data.select(selected).train_test_split(0.1, seed=1)
    return time.perf_counter() - started


@click.command(help=__doc__)
@click.option("--number", default=1_000_000, show_default=True,
              help="Rows for prepare alone; a tenth of them is measured as well.")  # fmt: skip
@click.option("--fewer", default=20_000, show_default=True,
              help="Rows for the comparison with datasketch.")  # fmt: skip
def main(number: int, fewer: int) -> None:
    """Generate the rows, measure both and print the results."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        folder = Path(scratch)
        (folder / "raw").mkdir()
        for name, count in (("many", number), ("tenth", number // 10), ("few", fewer)):
            with (folder / "raw" / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
                for row in generate_rows(count):
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        few, tenth, many = (
            measure_prepare(folder, f"{name}.jsonl") for name in ("few", "tenth", "many")
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        other = measure_datasketch(folder / "raw" / "few.jsonl", folder)
        click.echo(
            f"{'prepare':32} {number / many:8,.0f} rows/s of {number:,} rows, "
            f"{peak:.1f} GiB in the largest process"
        )
        click.echo(
            f"{'prepare, ten times the rows':32} {tenth:6.2f} s  {many:6.2f} s  "
            f"{many / tenth:5.1f} times as long"
        )
        click.echo(
            f"{'prepare against datasketch':32} {few:6.2f} s  {other:6.2f} s  "
            f"{other / few:5.1f} times our time"
        )


if __name__ == "__main__":
    runner.run(main)
