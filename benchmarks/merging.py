"""Measure the memory of merging: by shards, in one piece, and of the comparison of logits.

`python -m benchmarks.merging` merges a LoRA adapter of all linear layers into a random Qwen2 of
150M parameters in bf16. Each way is a process of its own. Its peak memory is counted from the end
of the imports. For 7B the bound is computed: the largest shard and two blocks in 32 bits.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.training import run_in_process

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2,
    },
    "150M": {
        "vocab_size": 32000, "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4,
    },
    "7B": {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    },
}  # fmt: skip
"""Shapes of Qwen2; 7B is that of Qwen2.5-7B."""

WAYS = ("shards", "whole", "parity")
PROMPT = [list(range(3, 35))]


def build_config(shape: str) -> Any:
    """Return the configuration of a shape, with an output layer of its own."""
    from transformers import Qwen2Config

    return Qwen2Config(tie_word_embeddings=False, **SHAPES[shape])


def build_model(folder: Path, shape: str, shard_gb: float) -> int:
    """Write a random model in bf16 and a random adapter; return the number of parameters."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2ForCausalLM

    torch.manual_seed(0)
    model = Qwen2ForCausalLM(build_config(shape)).bfloat16()
    model.save_pretrained(folder / "base", max_shard_size=f"{shard_gb}GB")
    config = LoraConfig(r=16, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(str(folder / "adapter"))
    return model.num_parameters()


def compute_bound(shape: str, shard_gb: float) -> tuple[float, float]:
    """Return the GB of the largest shard in bf16 and of two transformer blocks in 32 bits."""
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from transformers import Qwen2ForCausalLM

    with torch.device("meta"):
        model = Qwen2ForCausalLM(build_config(shape)).bfloat16()
    state = model.state_dict()
    shards = split_torch_state_dict_into_shards(state, max_shard_size=f"{shard_gb}GB")
    sizes = [
        sum(state[name].nbytes for name in names) for names in shards.filename_to_tensors.values()
    ]
    block = sum(parameter.numel() for parameter in model.model.layers[0].parameters())
    return max(sizes) / 1e9, 2 * 4 * block / 1e9


def merge(folder: Path, way: str, shard_gb: float) -> None:
    """Merge in one of the ways, and print the peak memory in MB since the imports."""
    import torch
    from peft import PeftModel  # noqa: F401 - an import that does not count
    from transformers import AutoModelForCausalLM, logging  # noqa: F401 - as above

    from lockstep.merging import parity, shard_merge, skeleton
    from lockstep.models import loading, saving

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    base, adapter, out = (folder / name for name in ("base", "adapter", "merged"))
    loading.load_model(folder / "tiny/base", "auto", "eager", "cpu")  # imports the architecture
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if way == "shards":
        out.mkdir()
        model = skeleton.load_meta_model(base, "auto", "eager", None)
        shard_merge.write_shards(shard_merge.Source(base, model, adapter), out, shard_gb)
    else:
        model = loading.load_model(base, "auto", "eager", "cpu")
        merged, _ = parity.merge_adapter(model, adapter, PROMPT, 1e-3, whole=True)
        if way == "parity":
            parity.check_files(merged, out)
        else:
            saving.save_model(merged, folder / "whole", shard_gb)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    click.echo(f"{peak * 1024 / 1e6:.0f}")


@click.command(help=__doc__)
@click.option("--shape", default="150M", show_default=True, type=click.Choice(list(SHAPES)))
@click.option("--shard-gb", default=0.1, show_default=True, help="Largest weight file, in GB.")
@click.option("--way", type=click.Choice(WAYS), hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(shape: str, shard_gb: float, way: str | None, folder: Path | None) -> None:
    """Measure all ways on one shape, or run one of them in this process."""
    if way and folder:
        merge(folder, way, shard_gb)
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        run_in_process(build_model, Path(name) / "tiny", "tiny", shard_gb)
        parameters = run_in_process(build_model, Path(name), shape, shard_gb)
        click.echo(f"{shape}: {parameters / 1e6:.0f}M parameters, {parameters * 2 / 1e6:.0f} MB")
        for option in WAYS:
            command = [
                sys.executable, "-m", "benchmarks.merging", "--way", option, "--folder", name,
                "--shard-gb", str(shard_gb),
            ]  # fmt: skip
            run = subprocess.run(  # noqa: S603 - the command is this module
                command, capture_output=True, text=True, check=True
            )
            click.echo(f"  {option:7} {run.stdout.strip():>6} MB")
    for other, size in ((shape, shard_gb), ("7B", 4.0)):
        shard, blocks = run_in_process(compute_bound, other, size)
        click.echo(f"bound, {other}: {shard:.3f} GB (shard) + {blocks:.3f} GB (two blocks)")


if __name__ == "__main__":
    main()
