"""Measure training of a 7B model on a GPU (`python -m benchmarks.gpu [--layers N]`).

A model of the shape of Qwen2.5 7B with random weights is tuned by LoRA, QLoRA and in full. The
table shows tokens per second, model FLOP utilisation (Chowdhery et al., 2022: 6 FLOPs per parameter
and token, 4 if the base is frozen, divided by the device's peak) and peak memory. The plain TRL
script is measured for comparison. Each of our runs happens twice to compare the bytes. Fewer layers
fit a smaller device.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from benchmarks.training import MAX_LENGTH, read_records, write_rows
from lockstep.models import loading, saving

SHAPE: dict[str, Any] = {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
         "num_key_value_heads": 4}  # fmt: skip
VOCABULARY = 152_064
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40": 181e12, "4090": 165e12}
"""Part of the device's name -> dense bf16 FLOP/s in the vendor's data sheet."""
LORA = {"r": 64, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}


def build_model(folder: Path, layers: int) -> int:
    """Save random bf16 weights with the starter's tokenizer; return the number of parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = loading.load_tokenizer(Path("data/base")).pretrained
    config = Qwen2Config(
        vocab_size=VOCABULARY, num_hidden_layers=layers, tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, dtype="bfloat16", **SHAPE,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda"):
        model: Any = Qwen2ForCausalLM(config)
    model.to(torch.bfloat16)
    saving.save_model(model, folder, 5.0)
    saving.save_tokenizer(tokenizer, folder)
    return int(model.num_parameters())


def run_measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command; return its seconds, the peak memory of the device in GB and the output."""
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - fixed commands, words and not a shell line
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip
    peak = 0.0
    while process.poll() is None:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        done = subprocess.run(query, capture_output=True, text=True, check=True)  # noqa: S603 - a fixed query
        peak = max(peak, float(done.stdout.split()[0]) / 1024)
        time.sleep(0.2)
    output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise click.ClickException(output[-2000:])
    return time.perf_counter() - started, peak, output


def hash_weights(folder: Path) -> str:
    """Return a hash of all safetensors files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]


@click.command(help=__doc__)
@click.option(
    "--layers", default=28, show_default=True, help="Number of layers; 28 is the whole 7B model."
)
@click.option("--batch", default=8, show_default=True, help="Rows in a batch.")
def main(layers: int, batch: int) -> None:
    """Measure all strategies and print a line for each."""
    import torch

    device = torch.cuda.get_device_name()
    peak_flops = next((flops for name, flops in PEAK.items() if name in device), None)
    with tempfile.TemporaryDirectory(prefix="lockstep-gpu-") as name:
        folder = Path(name)
        parameters = build_model(folder / "base", layers)
        tokens = write_rows(read_records(None, 480), folder)
        click.echo(f"{device}: {parameters / 1e9:.2f} billion parameters, {tokens:,} tokens")
        yaml = YAML(typ="safe", pure=True)
        for strategy in ("lora", "qlora", "full"):
            values = yaml.load(Path("params.yaml"))
            values["compute"]["attention"] = "sdpa"
            values["train"] |= {
                "strategy": strategy, "adapter": {} if strategy == "full" else LORA,
                "precision": "bf16", "batch_size": batch, "epochs": 1.0,
                "learning_rate": 1e-4, "max_length": MAX_LENGTH, "evaluation_steps": 0,
                "log_steps": 10,
                "optimizer": "paged_adamw_8bit", "activation_checkpointing": strategy == "full",
            }  # fmt: skip
            with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
                yaml.dump(values, stream)
            paths = ["base", "augmented", "validation.jsonl", "labels.json"]
            digests = []
            for out in ("one", "two"):
                command = [sys.executable, "-m", "stages.train", *paths, out]
                seconds, memory, output = run_measured(command, folder)
                digests.append(hash_weights(folder / out))
            speed = float(output.rsplit(" tokens/s", 1)[0].rsplit(" ", 1)[1].replace(",", ""))
            flops = (6 if strategy == "full" else 4) * parameters * speed
            share = f"{flops / peak_flops:.1%}" if peak_flops else "unknown"
            same = "same bytes twice" if len(set(digests)) == 1 else "DIFFERENT BYTES"
            click.echo(
                f"  {strategy:6} {seconds:7.1f} s  {speed:8,.0f} tokens/s  utilisation {share}  "
                f"{memory:5.1f} GB  {same}"
            )
        script = str(Path(__file__).with_name("plain_trl.py"))
        command = [
            sys.executable,
            script,
            "base",
            "rows.jsonl",
            str(batch),
            json.dumps(LORA),
            "gpu",
            "bf16",
        ]
        seconds, memory, output = run_measured(command, folder)
        runtime = float(output.rsplit("train_runtime", 1)[1].split("'")[2].strip(": ,}"))
        click.echo(
            f"  plain  {seconds:7.1f} s  {tokens / runtime:8,.0f} tokens/s  {memory:5.1f} GB (LoRA)"
        )


if __name__ == "__main__":
    main()
