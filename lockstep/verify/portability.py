"""Print hashes of basic operations, to compare two CPUs: equal hashes mean equal bytes.

The instruction sets are fixed as with `compute.portable: true`; `--native` leaves them to the CPU
and to the environment. docs/reproducibility.md lists the hashes of CPUs that were measured.
"""

import hashlib
import logging
import math
import os
from collections.abc import Iterator
from typing import Any

import click

from lockstep.errors import UserError
from lockstep.models import instruction_sets

THREADS = 2


def build_numbers(*shape: int) -> Any:
    """Return a tensor of numbers in [-2, 2) that are the same on every machine."""
    import torch

    size = math.prod(shape)
    integers = (torch.arange(size, dtype=torch.int64) * 1103515245 + 12345 * size) % 2**16
    return (integers.to(torch.float32) / 2**14 - 2).reshape(shape)


def compute_products() -> Iterator[tuple[str, Any]]:
    """Yield matrix products: MKL in fp32; oneDNN or torch's own kernel in bf16."""
    import torch

    left, right = build_numbers(1024, 128), build_numbers(128, 2048)
    batch = build_numbers(16, 128, 64)
    yield "mm", left @ right
    yield "mm_odd", build_numbers(64, 77) @ build_numbers(77, 33)
    yield "bmm", torch.bmm(batch, batch.transpose(1, 2))
    yield "mm_bf16", left.bfloat16() @ right.bfloat16()
    targets = torch.arange(1024) % 2048
    yield "cross_entropy", torch.nn.functional.cross_entropy(left @ right, targets)


def compute_functions() -> Iterator[tuple[str, Any]]:
    """Yield functions of elements and of rows: ATen, MKL's vector library and oneDNN."""
    import torch
    import torch.nn.functional as F

    numbers = build_numbers(1024, 128)
    yield "softmax", torch.softmax(numbers, -1)
    yield "silu", F.silu(numbers)
    yield "gelu", F.gelu(numbers)
    yield "exp", numbers.exp()
    yield "cos", numbers.cos()
    yield "rsqrt", torch.rsqrt(numbers.abs())
    yield "sum", numbers.sum(0)
    yield "mean", numbers.pow(2).mean(-1)
    yield "layer_norm", F.layer_norm(numbers, (128,))
    yield "randn", torch.randn(4096, generator=torch.Generator().manual_seed(0))


def compute_quantized() -> Iterator[tuple[str, Any]]:
    """Yield the output of bitsandbytes: nf4 with double quantization, and an int8 product."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # advertises an optional kernel
    import bitsandbytes.functional as quantization
    import torch

    weights = build_numbers(512, 768)
    packed, state = quantization.quantize_4bit(
        weights, quant_type="nf4", blocksize=64, compress_statistics=True
    )
    yield "nf4", packed
    yield "nf4_decoded", quantization.dequantize_4bit(packed, state)
    rows, _, _ = quantization.int8_vectorwise_quant(build_numbers(128, 768).half())
    columns, _, _ = quantization.int8_vectorwise_quant(weights.half())
    yield "int8_mm", torch.ops.bitsandbytes.int8_linear_matmul(rows, columns)


def compute_with_numpy() -> Iterator[tuple[str, Any]]:
    """Yield functions of numpy and a product of its OpenBLAS."""
    import numpy as np
    import torch

    numbers = build_numbers(128, 128).double().numpy()
    yield "numpy_exp", torch.from_numpy(np.exp(numbers))
    yield "numpy_log", torch.from_numpy(np.log(np.abs(numbers) + 1))
    yield "numpy_mm", torch.from_numpy(np.exp(numbers) @ numbers)


def compute_training() -> Iterator[tuple[str, Any]]:
    """Yield the weights and the loss of a small network after ten steps of AdamW."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(7)
    network = torch.nn.Sequential(
        torch.nn.Linear(128, 256),
        torch.nn.SiLU(),
        torch.nn.LayerNorm(256),
        torch.nn.Linear(256, 64),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, fused=True)
    rows, targets = build_numbers(256, 128), torch.arange(256) % 64
    loss = torch.zeros(())
    for _ in range(10):
        loss = F.cross_entropy(network(rows), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    yield "trained", torch.cat([weights.flatten() for weights in network.parameters()])
    yield "trained_loss", loss


def hash_tensor(tensor: Any) -> str:
    """Return the first 10 hex digits of the SHA-256 of a tensor's bytes."""
    import torch

    elements = tensor.detach().contiguous().flatten().view(torch.uint8)
    return hashlib.sha256(elements.numpy().tobytes()).hexdigest()[:10]


def compute_hashes() -> Iterator[tuple[str, str]]:
    """Yield the name and the hash of each operation."""
    import torch

    torch.set_num_threads(THREADS)
    for group in (
        compute_products, compute_functions, compute_quantized, compute_with_numpy,
        compute_training,
    ):  # fmt: skip
        for name, tensor in group():
            yield name, hash_tensor(tensor)


@click.command(help=__doc__)
@click.option("--native", is_flag=True, help="Leave the instruction sets as they are.")
def main(native: bool) -> None:
    """Print the CPU and a line for each operation."""
    if not native:
        if not instruction_sets.has_required_instructions():
            raise UserError(f"{instruction_sets.describe_missing_instructions()}; use --native")
        instruction_sets.set_variables()
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
    import torch

    name = instruction_sets.read_cpu_info().get("model name", "unknown CPU")
    click.echo(f"{name}, torch {torch.__version__}, {THREADS} threads")
    for operation, digest in compute_hashes():
        click.echo(f"{operation:14} {digest}")


if __name__ == "__main__":
    main()
