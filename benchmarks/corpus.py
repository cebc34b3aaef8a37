"""`prepare` on generated rows: rows per second, memory, and its steps by datasets and datasketch.

Seconds depend on the machine; the ratio is what to compare.
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
from lockstep.data.cleaning import Cleaner

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


def rows(number: int) -> Iterator[dict[str, str]]:
    """Random rows of about 200 characters: 3 % are duplicates, 3 % near ones, 10 % unclean."""
    draw = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    english = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(20_000)]
    chinese = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
    row: dict[str, str] = {}
    for _ in range(number):
        chance = draw.random()
        if row and chance < 0.06:
            row = {**row, "prompt": row["prompt"] + " ok" * (chance < 0.03)}
        elif chance < 0.2:
            said = ("".join(draw.choices(chinese, k=k)) for k in (60, 50))
            row = {**dict(zip(("prompt", "completion"), said, strict=True)), "language": "zh"}
        else:
            said = (" ".join(draw.choices(english, k=k)) for k in (17, 16))
            row = {**dict(zip(("prompt", "completion"), said, strict=True)), "language": "en"}
        if draw.random() < 0.1:
            row = {**row, "completion": f"{row['completion']} {draw.choice(NOISE)}"}
        yield row


def ours(folder: Path, file: str) -> float:
    """Wall time of the stage as DVC runs it, in seconds."""
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text("utf-8"))
    source = {"path": file, "format": "prompt_completion", "task": "t", "slices": ["language"]}
    values["prepare"] |= {"sources": [source], "clean": STEPS, "boilerplate": BOILERPLATE}
    values["prepare"]["decontaminate"]["words"] = 13
    values["prepare"]["split"]["by"] = ["language"]
    values["evaluate"] |= {"suites": [{"task": "t", "answer": "text"}], "slices": ["language"]}
    values["report"]["slices"] = []
    yaml.dump(values, folder / "params.yaml")
    environment = {k: v for k, v in os.environ.items() if k != "DVC_STAGE"}
    started = time.perf_counter()
    subprocess.run(  # noqa: S603  # our own stage
        [sys.executable, "-m", "stages.prepare", "raw", f"out-{file}"],
        cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - started


def theirs(file: Path, scratch: Path) -> float:
    """Wall time of cleaning, deduplication and split by `datasets.map` and datasketch."""
    import datasets
    import ftfy
    from datasketch import MinHash, MinHashLSH

    datasets.disable_progress_bars()
    started = time.perf_counter()
    data = datasets.load_dataset("json", data_files=str(file), cache_dir=str(scratch))["train"]
    cleaner = Cleaner(
        ["invisible", "html", "width", "punctuation", "boilerplate", "space"], BOILERPLATE
    )

    def clean(row: dict[str, str]) -> dict[str, str]:
        texts = (ftfy.fix_text(row[name]) for name in ("prompt", "completion"))
        done = [
            cleaner.clean(personal_data.mask(unicodedata.normalize("NFC", t)))[0] for t in texts
        ]
        return {"prompt": done[0], "completion": done[1]}

    data = data.map(clean, num_proc=len(os.sched_getaffinity(0)))
    seen: set[tuple[str, str]] = set()
    index = MinHashLSH(threshold=0.8, num_perm=64)
    kept = []
    for number, row in enumerate(data):
        if (row["prompt"], row["completion"]) in seen:
            continue
        seen.add((row["prompt"], row["completion"]))
        sketch = MinHash(num_perm=64)
        text = row["prompt"]
        sketch.update_batch([text[i : i + 5].encode() for i in range(max(1, len(text) - 4))])
        if not index.query(sketch):
            kept.append(number)
        index.insert(number, sketch)
    data.select(kept).train_test_split(0.1, seed=1)
    return time.perf_counter() - started


@click.command(help=__doc__)
@click.option("--number", default=1_000_000, show_default=True, help="Rows for us; also a tenth.")
@click.option("--fewer", default=20_000, show_default=True, help="Rows for both.")
def main(number: int, fewer: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        folder = Path(scratch)
        (folder / "raw").mkdir()
        for name, count in (("many", number), ("tenth", number // 10), ("few", fewer)):
            with (folder / "raw" / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
                stream.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows(count))
        few, tenth, many = (ours(folder, f"{name}.jsonl") for name in ("few", "tenth", "many"))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        other = theirs(folder / "raw" / "few.jsonl", folder)
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
            f"{other / few:5.1f} times faster"
        )


if __name__ == "__main__":
    runner.run(main)
