"""Training at the size of real work, on a GPU: `python -m benchmarks.gpu [--layers N]`.

Qwen2.5 7B's shape with random weights, tuned by LoRA, QLoRA and in full: tokens per second, model
FLOP utilisation (Chowdhery et al., 2022: 6 FLOPs a parameter and token, 4 where the base is frozen,
over the device's peak), peak memory, each beside the plain TRL script, and each of ours twice to
compare the bytes. Fewer layers make it fit a smaller device.
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

from benchmarks.training import MAX_LENGTH, read_rows, write_rows
from lockstep.models import model_io

SHAPE: dict[str, Any] = {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
         "num_key_value_heads": 4}  # fmt: skip
VOCABULARY = 152_064
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40": 181e12, "4090": 165e12}
"""Dense bf16 FLOP/s by the maker's data sheets, by a part of the device's name."""
LORA = {"r": 64, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}


def build(folder: Path, layers: int) -> int:
    """Random weights in bf16 with the starter's tokenizer; returns the parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = model_io.load_tokenizer(Path("data/base"))
    config = Qwen2Config(
        vocab_size=VOCABULARY, num_hidden_layers=layers, tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, dtype="bfloat16", **SHAPE,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda"):
        model: Any = Qwen2ForCausalLM(config)
    model.to(torch.bfloat16)
    model_io.save_model(model, folder, 5.0)
    model_io.save_tokenizer(tokenizer, folder)
    return int(model.num_parameters())


def run(command: list[str], folder: Path) -> tuple[float, float, str]:
    """(seconds, peak GB of the device, what was said) of a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - fixed commands, words and not a shell line
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip
    peak = 0.0
    while process.poll() is None:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        told = subprocess.run(query, capture_output=True, text=True, check=True)  # noqa: S603 - a fixed query
        peak = max(peak, float(told.stdout.split()[0]) / 1024)
        time.sleep(0.2)
    said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise click.ClickException(said[-2000:])
    return time.perf_counter() - started, peak, said


def weights(folder: Path) -> str:
    """A digest of what was trained."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:12]


@click.command(help=__doc__)
@click.option("--layers", default=28, show_default=True, help="28 are the whole 7B.")
@click.option("--batch", default=8, show_default=True)
def main(layers: int, batch: int) -> None:
    import torch

    device = torch.cuda.get_device_name()
    peak_flops = next((flops for name, flops in PEAK.items() if name in device), None)
    with tempfile.TemporaryDirectory(prefix="lockstep-gpu-") as name:
        folder = Path(name)
        parameters = build(folder / "base", layers)
        tokens = write_rows(read_rows(None, 480), folder)
        click.echo(f"{device}: {parameters / 1e9:.2f} billion parameters, {tokens:,} tokens")
        yaml = YAML(typ="safe", pure=True)
        for strategy in ("lora", "qlora", "full"):
            values = yaml.load(Path("params.yaml"))
            values["compute"]["attention"] = "sdpa"
            values["strategies"] |= {"lora": LORA, "qlora": LORA}
            values["train"] |= {
                "strategy": strategy, "precision": "bf16", "batch_size": batch, "epochs": 1.0,
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
                seconds, memory, said = run(command, folder)
                digests.append(weights(folder / out))
            speed = float(said.rsplit(" tokens/s", 1)[0].rsplit(" ", 1)[1].replace(",", ""))
            flops = (6 if strategy == "full" else 4) * parameters * speed
            share = f"{flops / peak_flops:.1%}" if peak_flops else "unknown"
            same = "the same bytes twice" if len(set(digests)) == 1 else "OTHER bytes"
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
        seconds, memory, said = run(command, folder)
        runtime = float(said.rsplit("train_runtime", 1)[1].split("'")[2].strip(": ,}"))
        click.echo(
            f"  plain  {seconds:7.1f} s  {tokens / runtime:8,.0f} tokens/s  {memory:5.1f} GB (LoRA)"
        )


if __name__ == "__main__":
    main()
