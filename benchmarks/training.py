"""Compare our training with a plain TRL script and with LLaMA-Factory.

`python -m benchmarks.training [MODEL …]` uses the same rows, model, adapter, epochs and threads for
all, each in its own process. It needs the outputs of `make`. `--rows` takes a JSON list of
instruction, input and output.

- TRL and LLaMA-Factory use activation checkpointing by default, which takes less memory and more
  time. Ours is measured with and without it.
- All times are compared with ours in fp32, since fp32 is faster on some CPUs with bf16
  instructions. If the CPU has them, ours is measured in bf16 too.
- TRL is measured in fp32 and with its default, bf16. On a CPU without bf16 instructions, the
  latter is many times slower and runs only with `--emulated`.
- LLaMA-Factory uses bf16 if the CPU has it, as its examples do. It is measured if the environment
  variable LLAMAFACTORY is the path of `llamafactory-cli`. It needs its own Python environment,
  since it pins other versions.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from lockstep import records
from lockstep.inference import likelihood
from lockstep.models import loading, saving
from lockstep.records import Record

MAX_LENGTH = 512
EPOCHS = 1.0
LOSS_ROWS = 96
"""Number of training rows on which the loss of the tuned models is computed."""
SIZES = {
    "5M": {"hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 688, "heads": 4},
    "60M": {"hidden_size": 640, "num_hidden_layers": 12, "intermediate_size": 1712, "heads": 10},
}
"""Shapes of Qwen2 models, named by their number of parameters with the starter's vocabulary."""
LORA = {"r": 64, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Time and memory of a process."""

    seconds: float
    peak_mib: float


def build_model(folder: Path, size: dict[str, int]) -> int:
    """Save a random model with the starter's tokenizer; return its number of parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = loading.load_tokenizer(Path("data/base"))
    shape: dict[str, Any] = {name: value for name, value in size.items() if name != "heads"}
    config = Qwen2Config(
        vocab_size=len(tokenizer.pretrained),
        num_attention_heads=size["heads"],
        num_key_value_heads=size["heads"],
        tie_word_embeddings=True,
        bos_token_id=tokenizer.pretrained.bos_token_id,
        eos_token_id=tokenizer.pretrained.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    saving.save_model(model, folder, 4.0)
    saving.save_tokenizer(tokenizer.pretrained, folder)
    return model.num_parameters()


def read_records(file: Path | None, number: int) -> list[Record]:
    """Return the first rows of an Alpaca file; without a file, a sample of the training records."""
    if file is None:
        return records.sample_evenly(list(records.read(Path("data/augmented/train.jsonl"))), number)
    result = []
    for index, row in enumerate(json.loads(file.read_text(encoding="utf-8"))[:number]):
        question = "\n".join(filter(None, (row["instruction"], row["input"])))
        turns = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": row["output"]},
        ]
        result.append(Record(messages=turns, task="reply", source=file.name, origin=f"{index}"))
    return result


def write_rows(rows: list[Record], folder: Path, tokenizer: Path, max_length: int) -> int:
    """Write the training data for all tools; return its number of tokens after truncation.

    It is written as records, and as pairs of prompt and completion.
    """
    (folder / "augmented").mkdir()
    records.write(folder / "augmented/train.jsonl", rows)
    records.write(folder / "validation.jsonl", rows[:1])
    (folder / "labels.json").write_text("{}")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as stream:
        for row in rows:
            pair = {"prompt": row.prompt, "completion": [row.messages[-1]]}
            stream.write(json.dumps(pair, ensure_ascii=False) + "\n")
    chat = loading.load_tokenizer(tokenizer)
    return sum(len(chat.encode_example(row, max_length).input_ids) for row in rows)


def run_measured(command: list[str], folder: Path, **environment: str) -> Measurement:
    """Run a command and measure its time and peak memory."""
    started = time.perf_counter()
    with (folder / "output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: S603 - fixed commands, words and not a shell line
            command, cwd=folder, stdout=output, stderr=output, env={**os.environ, **environment}
        )
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        text = output.read()
    if status:
        raise click.ClickException(f"{' '.join(command[:3])} failed:\n{text[-2000:]}")
    return Measurement(seconds=time.perf_counter() - started, peak_mib=usage.ru_maxrss / 1024)


def compute_final_loss(base: Path, adapter: Path, rows: list[Record]) -> float:
    """Return the loss of a tuned model in nats per answer token, computed alike for all tools."""
    from peft import PeftModel

    tokenizer = loading.load_tokenizer(base)
    model = PeftModel.from_pretrained(loading.load_model(base, "float32", "eager", "cpu"), adapter)
    examples = [tokenizer.encode_example(row, MAX_LENGTH) for row in rows]
    losses = likelihood.compute_answer_losses(model, examples, 8)
    return sum(loss for loss, _ in losses) / sum(tokens for _, tokens in losses)


def run_ours(
    folder: Path, batch: int, attention: str, *, checkpointing: bool = False, bf16: bool = False
) -> Measurement:
    """Measure the stage `train`."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(Path("params.yaml"))
    values["compute"]["attention"] = attention
    values["train"] |= {
        "adapter": LORA,
        "epochs": EPOCHS, "batch_size": batch, "accumulation_steps": 1, "learning_rate": 2e-4,
        "precision": "bf16" if bf16 else "fp32",
        "max_length": MAX_LENGTH, "activation_checkpointing": checkpointing,
        "evaluation_steps": 0, "log_steps": 5,
    }  # fmt: skip
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    paths = ["base", "augmented", "validation.jsonl", "labels.json", "out"]
    command = [sys.executable, "-m", "stages.train", *paths]
    return run_measured(command, folder, PYTHONPATH=str(Path.cwd()))


def has_bf16() -> bool:
    """Whether the CPU has bf16 instructions."""
    import torch

    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def run_plain_trl(folder: Path, batch: int, threads: int, bf16: bool) -> Measurement:
    """Measure the plain TRL script."""
    script = str(Path(__file__).with_name("plain_trl.py"))
    arguments = {
        "per_device_train_batch_size": batch, "learning_rate": 2e-4, "warmup_steps": 0.05,
        "max_length": MAX_LENGTH,
    }  # fmt: skip
    settings = {
        "lora": LORA, "quantized": False, "device": "cpu", "precision": "bf16" if bf16 else "fp32",
        "arguments": arguments,
    }  # fmt: skip
    command = [sys.executable, script, "base", "rows.jsonl", json.dumps(settings)]
    return run_measured(command, folder, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")


def run_llamafactory(folder: Path, batch: int, cli: str, threads: int) -> Measurement:
    """Measure LLaMA-Factory with its default settings."""
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
        "template": "chatml", "finetuning_type": "lora", "lora_rank": LORA["r"],
        "lora_alpha": LORA["lora_alpha"], "lora_target": "all", "do_train": True,
        "output_dir": "factory", "overwrite_output_dir": True, "cutoff_len": MAX_LENGTH,
        "per_device_train_batch_size": batch, "num_train_epochs": EPOCHS, "learning_rate": 2e-4,
        "lr_scheduler_type": "cosine", "logging_steps": 5, "report_to": "none",
        "save_strategy": "no", "bf16": has_bf16(), "use_cpu": True,
    }  # fmt: skip
    (folder / "factory.yaml").write_text(json.dumps(arguments))  # YAML 1.1 reads no as false
    environment = {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "USE_MODELSCOPE_HUB": "0",
    }
    return run_measured([cli, "train", "factory.yaml"], folder, **environment)


def silence_transformers() -> None:
    """Turn off progress bars and warnings, which would disturb the table."""
    from transformers import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def run_in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a function that runs in another process.

    This keeps the memory of this process small: the peak memory of a child starts at its parent's.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=silence_transformers) as pool:
        return pool.submit(function, *arguments).result()


def compare_tools(
    folder: Path, size: str, rows: list[Record], batch: int, attention: str, emulated: bool
) -> None:
    """Train a model of one size with each tool and print a line for each."""
    threads = YAML(typ="safe", pure=True).load(Path("params.yaml"))["compute"]["threads"]
    parameters = run_in_process(build_model, folder / "base", SIZES[size])
    tokens = run_in_process(write_rows, rows, folder, Path("data/base"), MAX_LENGTH)
    loss_rows = records.sample_evenly(rows, LOSS_ROWS)
    click.echo(f"\n{parameters / 1e6:.1f}M parameters, {len(rows)} rows, {tokens:,} tokens")

    def print_line(
        name: str, run: Measurement, adapter: str, ours: Measurement | None = None
    ) -> Measurement:
        ratio = f"  {run.seconds / ours.seconds:5.2f} times our time" if ours else ""
        loss = run_in_process(compute_final_loss, folder / "base", folder / adapter, loss_rows)
        click.echo(
            f"  {name:14} {run.seconds:7.1f} s  {tokens * EPOCHS / run.seconds:7,.0f} tokens/s"
            f"  {run.peak_mib:6,.0f} MiB  loss {loss:.3f}{ratio}"
        )
        return run

    ours = print_line("ours", run_ours(folder, batch, attention), "out/model")
    checkpointed = run_ours(folder, batch, attention, checkpointing=True)
    print_line("  checkpointed", checkpointed, "out/model", ours)
    if has_bf16():
        bf16 = run_ours(folder, batch, attention, bf16=True)
        print_line("  in bf16", bf16, "out/model", ours)
    plain = run_plain_trl(folder, batch, threads, bf16=False)
    print_line("plain TRL", plain, "plain", ours)
    if has_bf16() or emulated:
        plain = run_plain_trl(folder, batch, threads, bf16=True)
        print_line("  in bf16", plain, "plain", ours)
    if cli := os.environ.get("LLAMAFACTORY"):
        factory = run_llamafactory(folder, batch, cli, threads)
        print_line("LLaMA-Factory", factory, "factory", ours)


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=click.Choice(list(SIZES)))
@click.option("--batch", default=8, show_default=True, help="Rows in a batch.")
@click.option(
    "--rows", type=click.Path(exists=True, path_type=Path), help="Alpaca file to train on."
)
@click.option(
    "--attention",
    default="eager",
    show_default=True,
    help="Attention of ours; the others use sdpa.",
)
@click.option("--emulated", is_flag=True, help="Measure TRL in bf16 although the CPU lacks it.")
@click.option("--number", default=480, show_default=True, help="Number of rows to train on.")
def main(
    sizes: tuple[str, ...],
    batch: int,
    rows: Path | None,
    attention: str,
    emulated: bool,
    number: int,
) -> None:
    """Compare the tools on each model size."""
    training_rows = read_records(rows, number)
    for size in sizes or SIZES:
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
            compare_tools(Path(folder), size, training_rows, batch, attention, emulated)


if __name__ == "__main__":
    main()
