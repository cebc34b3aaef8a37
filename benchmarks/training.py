"""Our training against the script that most tutorials show, and against LLaMA-Factory.

`python -m benchmarks.training [MODEL …]`: the same rows, model, adapter, epochs and threads in one
run, each as a process of its own. Needs the outputs of `make`. `--rows` takes a JSON list of
instruction, input and output. TRL and LLaMA-Factory compute activations twice by default, which
takes less memory and more time: we are measured with and without. All times stand against ours in
fp32, since there are CPUs with bf16 instructions on which fp32 is faster; where the CPU has them,
ours is measured in bf16 too. TRL is measured in fp32, and as it comes, in bf16: where the CPU has
none, only with `--emulated`, many times slower. LLaMA-Factory computes in bf16 where the CPU has
it, as in its examples; it is measured where LLAMAFACTORY names its `llamafactory-cli`, in an
environment of its own: it pins other versions.
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
from lockstep.models import chat, model_io
from lockstep.records import Record

MAX_LENGTH = 512
EPOCHS = 1.0
SCORED = 96
"""Rows, of those trained on, of which the tuned models' loss is told."""
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


def build(folder: Path, size: dict[str, int]) -> int:
    """A random model of that size with the starter's tokenizer; returns its parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = model_io.load_tokenizer(Path("data/base"))
    shape: dict[str, Any] = {name: value for name, value in size.items() if name != "heads"}
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
    model_io.save_model(model, folder, 4.0)
    model_io.save_tokenizer(tokenizer, folder)
    return model.num_parameters()


def read_rows(file: Path | None, number: int) -> list[Record]:
    """The first rows of an Alpaca file; without one, rows of the pipeline's, evenly spread."""
    if file is None:
        return records.sample_evenly(list(records.read(Path("data/augmented/train.jsonl"))), number)
    made = []
    for at, row in enumerate(json.loads(file.read_text(encoding="utf-8"))[:number]):
        asked = "\n".join(filter(None, (row["instruction"], row["input"])))
        turns = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": row["output"]},
        ]
        made.append(Record(messages=turns, task="reply", source=file.name, origin=f"{at}"))
    return made


def write_rows(rows: list[Record], folder: Path) -> int:
    """Rows for all competitors: as records, and as prompt and completion; returns their tokens."""
    (folder / "augmented").mkdir()
    records.write(folder / "augmented/train.jsonl", rows)
    records.write(folder / "validation.jsonl", rows[:1])
    (folder / "labels.json").write_text("{}")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as stream:
        for row in rows:
            pair = {"prompt": row.prompt, "completion": [row.messages[-1]]}
            stream.write(json.dumps(pair, ensure_ascii=False) + "\n")
    tokenizer = model_io.load_tokenizer(Path("data/base"))
    return sum(len(chat.encode_example(tokenizer, row, MAX_LENGTH).input_ids) for row in rows)


def measure(command: list[str], folder: Path, **environment: str) -> Measured:
    """Run a command and watch its time and its memory."""
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
    return Measured(seconds=time.perf_counter() - started, peak_mib=usage.ru_maxrss / 1024)


def final_loss(base: Path, adapter: Path, rows: list[Record]) -> float:
    """Nats of an answer's token after training, on the same rows and by the same code for all."""
    from peft import PeftModel

    tokenizer = model_io.load_tokenizer(base)
    model = PeftModel.from_pretrained(model_io.load_model(base, "float32", "eager", "cpu"), adapter)
    examples = [chat.encode_example(tokenizer, row, MAX_LENGTH) for row in rows]
    losses = likelihood.compute_answer_losses(model, examples, 8)
    return sum(loss for loss, _ in losses) / sum(tokens for _, tokens in losses)


def ours(
    folder: Path, batch: int, attention: str, *, checkpointing: bool = False, bf16: bool = False
) -> Measured:
    """The stage itself."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(Path("params.yaml"))
    values["strategies"]["lora"] = LORA
    values["compute"]["attention"] = attention
    values["train"] |= {
        "epochs": EPOCHS, "batch_size": batch, "accumulation_steps": 1, "learning_rate": 2e-4,
        "precision": "bf16" if bf16 else "fp32",
        "max_length": MAX_LENGTH, "activation_checkpointing": checkpointing,
        "evaluation_steps": 0, "log_steps": 5,
    }  # fmt: skip
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    paths = ["base", "augmented", "validation.jsonl", "labels.json", "out"]
    command = [sys.executable, "-m", "stages.train", *paths]
    return measure(command, folder, PYTHONPATH=str(Path.cwd()))


def has_bf16() -> bool:
    """Whether the CPU computes in bf16 and need not emulate it."""
    import torch

    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def plain(folder: Path, batch: int, threads: int, bf16: bool) -> Measured:
    """The script of the tutorials."""
    script = str(Path(__file__).with_name("plain_trl.py"))
    lora, precision = json.dumps(LORA), "bf16" if bf16 else "fp32"
    command = [sys.executable, script, "base", "rows.jsonl", str(batch), lora, "cpu", precision]
    return measure(command, folder, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")


def llamafactory(folder: Path, batch: int, cli: str, threads: int) -> Measured:
    """LLaMA-Factory as it is shipped."""
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
    return measure([cli, "train", "factory.yaml"], folder, **environment)


def quiet() -> None:
    """Keep loading bars out of the table."""
    from transformers import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a process of its own: a child's peak memory begins at its parent's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=quiet) as pool:
        return pool.submit(work, *arguments).result()


def compare(
    folder: Path, size: str, learnt: list[Record], batch: int, attention: str, emulated: bool
) -> None:
    """Train a model of that size by everybody, and tell a line of each."""
    threads = YAML(typ="safe", pure=True).load(Path("params.yaml"))["compute"]["threads"]
    parameters = apart(build, folder / "base", SIZES[size])
    tokens = apart(write_rows, learnt, folder)
    scored = records.sample_evenly(learnt, SCORED)
    click.echo(f"\n{parameters / 1e6:.1f}M parameters, {len(learnt)} rows, {tokens:,} tokens")

    def tell(who: str, run: Measured, adapter: str, own: Measured | None = None) -> Measured:
        ratio = f"  {run.seconds / own.seconds:5.2f} times our time" if own else ""
        loss = apart(final_loss, folder / "base", folder / adapter, scored)
        click.echo(
            f"  {who:14} {run.seconds:7.1f} s  {tokens * EPOCHS / run.seconds:7,.0f} tokens/s"
            f"  {run.peak_mib:6,.0f} MiB  loss {loss:.3f}{ratio}"
        )
        return run

    own = tell("ours", ours(folder, batch, attention), "out/model")
    less = ours(folder, batch, attention, checkpointing=True)
    tell("  checkpointed", less, "out/model", own)
    if has_bf16():
        tell("  in bf16", ours(folder, batch, attention, bf16=True), "out/model", own)
    tell("plain TRL", plain(folder, batch, threads, bf16=False), "plain", own)
    if has_bf16() or emulated:
        tell("  as it comes", plain(folder, batch, threads, bf16=True), "plain", own)
    if cli := os.environ.get("LLAMAFACTORY"):
        tell("LLaMA-Factory", llamafactory(folder, batch, cli, threads), "factory", own)


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=click.Choice(list(SIZES)))
@click.option("--batch", default=8, show_default=True, help="Rows of a batch.")
@click.option("--rows", type=click.Path(exists=True, path_type=Path), help="An Alpaca file.")
@click.option("--attention", default="eager", show_default=True, help="Ours; theirs is sdpa.")
@click.option("--emulated", is_flag=True, help="Also TRL as it comes where the CPU lacks bf16.")
@click.option("--number", default=480, show_default=True, help="Rows to train on.")
def main(
    sizes: tuple[str, ...],
    batch: int,
    rows: Path | None,
    attention: str,
    emulated: bool,
    number: int,
) -> None:
    learnt = read_rows(rows, number)
    for size in sizes or SIZES:
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
            compare(Path(folder), size, learnt, batch, attention, emulated)


if __name__ == "__main__":
    main()
