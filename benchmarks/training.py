"""Our training against the script that most tutorials show, and against LLaMA-Factory.

`python -m benchmarks.training [MODEL …]`: the same rows, model, adapter, epochs and threads in one
run, each as a process of its own. Needs the outputs of `make`. LLaMA-Factory is measured where
LLAMAFACTORY names its `llamafactory-cli` in an environment of its own (it pins other versions).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from stages import models, records

ROWS = 480
EPOCHS = 1.0
SIZES = {
    "5M": {"hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 688, "heads": 4},
    "60M": {"hidden_size": 640, "num_hidden_layers": 12, "intermediate_size": 1712, "heads": 10},
}
"""Qwen2's shape; about so many parameters with the starter's vocabulary."""
LORA = {"r": 64, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One process from its start to its end."""

    seconds: float
    peak_mib: float
    loss: float
    """The last that was logged."""


def build(folder: Path, size: dict[str, int]) -> int:
    """A random model of that size with the starter's tokenizer; returns its parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = models.load_tokenizer(Path("data/base"))
    shape = {name: value for name, value in size.items() if name != "heads"}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        num_attention_heads=size["heads"],
        num_key_value_heads=size["heads"],
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    models.save(model, folder, 4.0)
    models.save_tokenizer(tokenizer, folder)
    return model.num_parameters()


def write_rows(folder: Path) -> int:
    """Rows for all competitors: as records, and as prompt and completion; returns their tokens."""
    from stages import chat

    rows = records.spread(list(records.read(Path("data/augmented/train.jsonl"))), ROWS)
    (folder / "augmented").mkdir()
    records.write(folder / "augmented/train.jsonl", rows)
    records.write(folder / "validation.jsonl", rows[:8])
    (folder / "labels.json").write_text("{}")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as stream:
        for row in rows:
            pair = {"prompt": row.prompt, "completion": [row.messages[-1]]}
            stream.write(json.dumps(pair, ensure_ascii=False) + "\n")
    tokenizer = models.load_tokenizer(Path("data/base"))
    return sum(len(chat.example(tokenizer, row, 256).input_ids) for row in rows)


def measure(command: list[str], folder: Path, **environment: str) -> Measured:
    """Run a command and watch its time, its memory and the losses that it prints."""
    started = time.perf_counter()
    with (folder / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(  # noqa: S603 - fixed commands, words and not a shell line
            command, cwd=folder, stdout=said, stderr=said, env={**os.environ, **environment}
        )
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if status:
        raise click.ClickException(f"{' '.join(command[:3])} failed:\n{text[-2000:]}")
    losses = re.findall(r"(?<![_\w])'?loss'?:? '?(\d+\.\d+)", text)
    return Measured(
        seconds=time.perf_counter() - started,
        peak_mib=usage.ru_maxrss / 1024,
        loss=float(losses[-1]) if losses else float("nan"),
    )


def ours(folder: Path, batch: int) -> Measured:
    """The stage itself."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(Path("params.yaml"))
    values["strategies"]["lora"] = LORA
    values["train"] |= {
        "epochs": EPOCHS, "batch_size": batch, "accumulation_steps": 1, "learning_rate": 2e-4,
        "max_length": 256, "evaluation_steps": 0, "log_steps": 5,
    }  # fmt: skip
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    paths = ["base", "augmented", "validation.jsonl", "labels.json", "out"]
    command = [sys.executable, "-m", "stages.train", *paths]
    return measure(command, folder, PYTHONPATH=str(Path.cwd()))


def plain(folder: Path, batch: int, threads: int) -> Measured:
    """The script of the tutorials."""
    script = str(Path(__file__).with_name("plain_trl.py"))
    command = [sys.executable, script, "base", "rows.jsonl", str(batch), json.dumps(LORA), "cpu"]
    return measure(command, folder, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")


def llamafactory(folder: Path, batch: int, cli: str, threads: int) -> Measured:
    """LLaMA-Factory as it is shipped."""
    (folder / "dataset_info.json").write_text(
        json.dumps({"rows": {"file_name": "factory.json", "formatting": "alpaca"}})
    )
    pairs = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    rows = [
        {
            "instruction": pair["prompt"][-1]["content"],
            "system": next((m["content"] for m in pair["prompt"] if m["role"] == "system"), ""),
            "output": pair["completion"][0]["content"],
        }
        for pair in pairs
    ]
    (folder / "factory.json").write_text(json.dumps(rows, ensure_ascii=False))
    info = {"file_name": "factory.json", "columns": {
        "prompt": "instruction", "response": "output", "system": "system"}}  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps({"rows": info}))
    arguments: dict[str, Any] = {
        "model_name_or_path": "base", "dataset": "rows", "dataset_dir": ".", "stage": "sft",
        "template": "qwen", "finetuning_type": "lora", "lora_rank": LORA["r"],
        "lora_alpha": LORA["lora_alpha"], "lora_target": "all", "do_train": True,
        "output_dir": "factory", "overwrite_output_dir": True, "cutoff_len": 256,
        "per_device_train_batch_size": batch, "num_train_epochs": EPOCHS, "learning_rate": 2e-4,
        "lr_scheduler_type": "cosine", "logging_steps": 5, "report_to": "none",
        "save_strategy": "no",
    }  # fmt: skip
    with (folder / "factory.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(arguments, stream)
    environment = {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "USE_MODELSCOPE_HUB": "0",
    }
    return measure([cli, "train", "factory.yaml"], folder, **environment)


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=click.Choice(list(SIZES)))
@click.option("--batch", default=8, show_default=True, help="Rows of a batch.")
def main(sizes: tuple[str, ...], batch: int) -> None:
    threads = YAML(typ="safe", pure=True).load(Path("params.yaml"))["compute"]["threads"]
    for size in sizes or SIZES:
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
            folder = Path(name)
            parameters = build(folder / "base", SIZES[size])
            tokens = write_rows(folder)
            click.echo(f"\n{parameters / 1e6:.1f}M parameters, {ROWS} rows, {tokens:,} tokens")
            runs = {"ours": ours(folder, batch), "plain TRL": plain(folder, batch, threads)}
            if cli := os.environ.get("LLAMAFACTORY"):
                runs["LLaMA-Factory"] = llamafactory(folder, batch, cli, threads)
            for who, run in runs.items():
                speed = tokens * EPOCHS / run.seconds
                click.echo(
                    f"  {who:14} {run.seconds:7.1f} s  {speed:7,.0f} tokens/s"
                    f"  {run.peak_mib:6,.0f} MiB  loss {run.loss:.3f}"
                    f"  {run.seconds / runs['ours'].seconds:5.2f} times our time"
                )


if __name__ == "__main__":
    main()
