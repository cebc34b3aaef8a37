"""Measure QLoRA of a 7B model on a GPU, beside a plain TRL script (`python -m benchmarks.gpu`).

The model has the shape of Llama 2 7B or Qwen2.5 7B and random weights; the settings are those of
the recipe qwen2.5-7b-qlora; every row fills `--length` tokens. Weights and rows are made on the
spot: nothing is downloaded, and no output of the pipeline is needed. The table shows tokens per
second, model FLOP utilisation (Chowdhery et al., 2022, appendix B) and peak memory. Each of our
runs happens twice to compare the bytes.
"""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import psutil
from ruamel.yaml import YAML

from benchmarks.training import write_rows
from lockstep.models import loading, quantization, saving, weight_counts
from lockstep.recipe import merge_recipe
from lockstep.records import Record

ROOT = Path(__file__).parents[1]
TOKENIZER = ROOT / "data/starter/model"
RECIPE = "qwen2.5-7b-qlora"
SHAPES: dict[str, dict[str, Any]] = {
    "llama-2-7b": {
        "model_type": "llama", "vocab_size": 32_000, "hidden_size": 4096,
        "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
    "qwen2.5-7b": {
        "model_type": "qwen2", "vocab_size": 152_064, "hidden_size": 3584,
        "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
    "tiny": {
        "model_type": "llama", "vocab_size": 4608, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    },
}  # fmt: skip
"""Sizes of the models, as their config.json has them; tiny is for a test on a CPU."""
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40": 181e12, "4090": 165e12}
"""Part of the device's name -> dense bf16 FLOP/s in the vendor's data sheet."""
WORDS = ("where", "is", "the", "order", "refund", "please", "cancel", "now", "track", "sorry")


def build_config(shape: str) -> Any:
    """Return the configuration of a model; weights are in 16 bits, as hubs publish them."""
    from transformers import AutoConfig

    tokenizer = loading.load_tokenizer(TOKENIZER)
    return AutoConfig.for_model(
        **SHAPES[shape], max_position_embeddings=4096, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=tokenizer.pretrained.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, dtype="bfloat16",
    )  # fmt: skip


def build_model(folder: Path, shape: str, device: str) -> None:
    """Save a model with random weights and the starter's tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(build_config(shape), dtype=torch.bfloat16)
    saving.save_model(model, folder, 5.0)
    saving.save_tokenizer(loading.load_tokenizer(TOKENIZER).pretrained, folder)
    del model
    if device == "cuda":
        torch.cuda.empty_cache()  # the measured processes need the memory


def build_records(number: int, length: int) -> list[Record]:
    """Return records of random words that are longer than `length` tokens, so all are truncated."""
    source = random.Random(7)
    return [
        Record(
            messages=[
                {"role": "user", "content": " ".join(source.choices(WORDS, k=length // 8))},
                {"role": "assistant", "content": " ".join(source.choices(WORDS, k=length))},
            ],
            task="reply",
            source="random",
            origin=f"{index}",
        )
        for index in range(number)
    ]


def count_flops_per_token(config: Any, parameters: int, length: int, *, is_full: bool) -> int:
    """Return the FLOPs of a training step per token, without those of recomputed activations.

    `parameters` leaves out the input embeddings, which multiply nothing. A product costs 2 FLOPs
    per parameter in the forward pass, 2 for the gradient of its input and, if the weights are
    trained, 2 for theirs. Attention adds 12 times layers, width and length.
    """
    width = config.num_attention_heads * (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    attention = 12 * int(config.num_hidden_layers) * int(width) * length
    return (6 if is_full else 4) * parameters + attention


def describe_weights(base: Path) -> tuple[str, int]:
    """Return the size of the weights in nf4 and in 16 bits, and the number of parameters."""
    counts = weight_counts.count_weights(base, None, quantization.build_config("nf4", True, "bf16"))
    size = counts.count_bytes(quantization.get_parameter_bytes("nf4", double=True), 2.0)
    text = f"weights {size / 1e9:.2f} GB in nf4, {counts.total * 2 / 1e9:.2f} GB in bf16"
    return text, counts.total


def build_settings(strategy: str, length: int, device: str) -> dict[str, Any]:
    """Return params.yaml with the recipe and the changes for this benchmark."""
    texts = [ROOT / "params.yaml", ROOT / f"recipes/{RECIPE}.yaml"]
    merged = merge_recipe(*(path.read_text(encoding="utf-8") for path in texts))
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(merged)
    train = values["train"]
    if strategy != "qlora":
        train["adapter"].pop("double_quantization")
    if strategy == "full":
        train["adapter"] = {}
    train |= {
        "strategy": strategy, "epochs": 1.0, "max_length": length, "log_steps": 5,
        "evaluation_steps": 0, "sft": {},
    }  # fmt: skip
    values["runtime"] |= {"device": device, "checkpoint_steps": 0}
    return values


def build_plain_settings(train: dict[str, Any], device: str) -> dict[str, Any]:
    """Return the settings of the plain TRL script that equal those of our run."""
    arguments = {
        "per_device_train_batch_size": train["batch_size"],
        "gradient_accumulation_steps": train["accumulation_steps"],
        "learning_rate": train["learning_rate"], "warmup_steps": train["warmup"],
        "optim": train["optimizer"], "max_length": train["max_length"],
    }  # fmt: skip
    adapter = {name: v for name, v in train["adapter"].items() if name != "double_quantization"}
    return {
        "lora": adapter, "quantized": train["strategy"] == "qlora", "device": device,
        "precision": "bf16", "arguments": arguments,
    }  # fmt: skip


def run_measured(command: list[str], folder: Path, device: str) -> tuple[float, float, str]:
    """Run a command; return its seconds, the peak memory of the device in GB and the output."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    started, peak = time.perf_counter(), 0.0
    with (folder / "output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: S603 - fixed commands, words and not a shell line
            command, cwd=folder, stdout=output, stderr=output, env=environment
        )
        while process.poll() is None:
            peak = max(peak, read_memory(process.pid, device))
            time.sleep(0.2)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise click.ClickException(f"{' '.join(command[:3])} failed:\n{text[-3000:]}")
    return time.perf_counter() - started, peak, text


def read_memory(process: int, device: str) -> float:
    """Return the memory in GB that is used on the GPU, or by a process on the CPU."""
    if device == "cpu":
        try:
            return psutil.Process(process).memory_info().rss / 1e9
        except psutil.NoSuchProcess:
            return 0.0
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, check=True)  # noqa: S603 - a fixed query
    return float(answer.stdout.split()[0]) * 2**20 / 1e9


def hash_weights(folder: Path) -> str:
    """Return a hash of all safetensors files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]


def measure_ours(folder: Path, values: dict[str, Any]) -> tuple[float, float, str]:
    """Run the stage `train` twice; return tokens per second, peak memory and a note on bytes."""
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    speeds, peaks, digests = [], [], set()
    for out in ("one", "two"):
        paths = ["base", "augmented", "validation.jsonl", "labels.json", out]
        command = [sys.executable, "-m", "stages.train", *paths]
        _, peak, output = run_measured(command, folder, values["runtime"]["device"])
        speeds.append(float(re.findall(r"([\d,]+) tokens/s", output)[-1].replace(",", "")))
        peaks.append(peak)
        digests.add(hash_weights(folder / out))
    note = "same bytes twice" if len(digests) == 1 else "DIFFERENT BYTES"
    return max(speeds), max(peaks), note


def measure_plain(folder: Path, settings: dict[str, Any], tokens: int) -> tuple[float, float, str]:
    """Run the plain TRL script; return tokens per second, peak memory and its name."""
    script = str(Path(__file__).with_name("plain_trl.py"))
    command = [sys.executable, script, "base", "rows.jsonl", json.dumps(settings)]
    _, peak, output = run_measured(command, folder, settings["device"])
    seconds = float(re.findall(r"^trained in ([\d.]+) s", output, re.MULTILINE)[-1])
    return tokens / seconds, peak, "plain TRL"


@click.command(help=__doc__)
@click.option("--shape", type=click.Choice(list(SHAPES)), default="llama-2-7b", show_default=True)
@click.option(
    "--strategy", "strategies", type=click.Choice(["qlora", "lora", "full"]), multiple=True,
    default=["qlora"], show_default=True,
)  # fmt: skip
@click.option("--steps", default=20, show_default=True, help="Optimizer steps of 2 x 4 rows.")
@click.option("--length", default=2048, show_default=True, help="Tokens of each row.")
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
def main(shape: str, strategies: tuple[str, ...], steps: int, length: int, device: str) -> None:
    """Measure the strategies and print two lines for each."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    peak_flops = next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)
    config = build_config(shape)
    with tempfile.TemporaryDirectory(prefix="lockstep-gpu-") as scratch:
        folder = Path(scratch)
        build_model(folder / "base", shape, device)
        weights, parameters = describe_weights(folder / "base")
        click.echo(f"{name}, {shape}: {parameters / 1e9:.2f} billion parameters, {weights}")
        settings = {strategy: build_settings(strategy, length, device) for strategy in strategies}
        train = settings[strategies[0]]["train"]
        rows = steps * train["batch_size"] * train["accumulation_steps"]
        tokens = write_rows(build_records(rows, length), folder, TOKENIZER, length)
        for strategy, values in settings.items():
            flops = count_flops_per_token(
                config, parameters - config.vocab_size * config.hidden_size, length,
                is_full=strategy == "full",
            )  # fmt: skip
            runs = [measure_ours(folder, values)]
            if strategy != "full":
                plain_settings = build_plain_settings(values["train"], device)
                runs.append(measure_plain(folder, plain_settings, tokens))
            for speed, peak, note in runs:
                share = f"{flops * speed / peak_flops:.1%}" if peak_flops else "unknown"
                click.echo(
                    f"  {strategy:6} {speed:9,.0f} tokens/s  utilisation {share}  "
                    f"{peak:6.2f} GB  {note}"
                )


if __name__ == "__main__":
    main()
