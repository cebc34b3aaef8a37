"""Compare speed and memory of the forms of a model: transformers, bitsandbytes and llama.cpp.

`python -m benchmarks.decoding [MODEL …]` measures the tuned sample model and a random Qwen2 model
of 150M parameters with the starter's tokenizer; it needs the outputs of `make`. Each form is
written as the stage `quantize` writes it, and loaded in a process of its own, which is started as
a stage is. The processes take turns for `--rounds` rounds; the others wait meanwhile. A Markdown
table of the medians is printed, with the ratio of each to fp32. A line below it says how much the
rounds differed: by a few percent if nothing else uses the cores.

- decode: milliseconds for each generated token, with one sequence and with eight at a time: the
  median time of a step, divided by its sequences. Prompts have 32 random tokens.
- prefill: prompt tokens per second, for one prompt of 256 tokens.
- peak: the largest memory of the process above that after its imports.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from benchmarks.training import build_model, run_in_process
from lockstep.cli.runner import IN_FOLDER, run
from lockstep.models import gguf_folder

TUNED = "sample"
"""Name of the tuned model in the arguments."""
SIZES = {
    "150M": {"hidden_size": 1024, "num_hidden_layers": 12, "intermediate_size": 2688, "heads": 16},
}
"""Shapes of random Qwen2 models, named by their number of parameters."""
FORMS = (
    *("fp32", "bf16", "nf4", "int8"),
    *("gguf_f16", "gguf_q8_0", "gguf_q5_1", "gguf_q4_0"),
)
"""Forms in the order of the table; ratios are to the first one."""
ANSWER_TOKENS = {1: 32, 8: 16}
"""Number of sequences that are decoded at a time -> number of tokens of each answer."""
PROMPT_TOKENS, PREFILL_TOKENS = 32, 256
MIN_SECONDS = 1.0
"""Least time of a measurement. It is repeated until then, since the steps of a small model take
about as long as the pauses that the system makes."""
MEASURED = {"decode_1": "ms", "decode_8": "ms", "prefill": "tokens/s", "peak": "MiB"}
"""Measured number -> its unit."""


class Bench:
    """Measure the form in a folder, in this process."""

    def __init__(self, folder: Path) -> None:
        """Load the model of a folder; llama.cpp loads a GGUF file for each batch."""
        import torch
        import transformers  # noqa: F401 - its memory does not count
        import xllamacpp  # noqa: F401 - as above
        from ruamel.yaml import YAML

        from lockstep.inference import latency, llama_cpp_generation
        from lockstep.models import lean_imports, loading

        values = YAML(typ="safe", pure=True).load(Path("params.yaml"))["compute"]
        torch.set_num_threads(values["threads"])
        self.folder = folder
        self.vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        self.is_gguf = gguf_folder.is_gguf_folder(folder)
        self.time_steps: Any = latency.time_decoding
        if loading.is_quantized(folder):
            lean_imports.import_bitsandbytes()
        self.memory_before = get_peak_memory()
        if self.is_gguf:
            self.time_steps = llama_cpp_generation.time_tokens
        else:
            self.model = loading.load_model(folder, "auto", values["attention"], "cpu")

    def measure(self) -> dict[str, float]:
        """Return the milliseconds of a token by batch, prompt tokens per second, and peak MiB."""
        decode = {
            f"decode_{batch}": 1000 * self.time_prompts(batch, PROMPT_TOKENS, tokens)[1] / batch
            for batch, tokens in ANSWER_TOKENS.items()
        }
        seconds, _ = self.time_prompts(1, PREFILL_TOKENS, 2)
        peak = get_peak_memory() - self.memory_before
        return {**decode, "prefill": PREFILL_TOKENS / seconds, "peak": peak}

    def time_prompts(self, batch: int, length: int, tokens: int) -> tuple[float, float]:
        """Return the median seconds of the first decoding step, and of a further one.

        Prompts have `length` tokens. They are answered once before the measurement.
        """
        first_steps: list[float] = []
        further_steps: list[float] = []
        with self.open_model(batch) as model:
            self.time_steps(model, self.draw_prompts(batch, length), 0, 2)
            end = time.perf_counter() + MIN_SECONDS
            while not first_steps or time.perf_counter() < end:
                first, *further = self.time_steps(
                    model, self.draw_prompts(batch, length), 0, tokens
                )
                first_steps.append(first)
                further_steps += further
        return statistics.median(first_steps), statistics.median(further_steps)

    def open_model(self, batch: int) -> AbstractContextManager[Any]:
        """Return the model as llama.cpp or transformers run it for a batch."""
        from lockstep.inference.llama_cpp import LlamaCpp

        if self.is_gguf:
            return LlamaCpp(self.folder / gguf_folder.GGUF_FILE, slots=batch)
        return nullcontext(self.model)

    def draw_prompts(self, number: int, length: int) -> list[list[int]]:
        """Return prompts of random tokens; those of each call have other tokens."""
        import torch

        return torch.randint(10, self.vocabulary, (number, length)).tolist()


def get_peak_memory() -> float:
    """Return the largest memory that this process has had, in MiB, on Linux.

    `ru_maxrss` would begin with that of the process which started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kibibytes) / 1024


def serve(folder: Path) -> None:
    """Measure the form in a folder for each line on stdin, and print the numbers as a line."""
    bench = Bench(folder)
    for _ in sys.stdin:
        click.echo(json.dumps(bench.measure()))


@contextmanager
def start_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that serves the form in a folder; it ends with the block."""
    process = subprocess.Popen(  # noqa: S603 - fixed words
        [sys.executable, "-m", "benchmarks.decoding", "--folder", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    try:
        yield process
    finally:
        process.communicate()


def ask_process(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return the numbers of one measurement of a process."""
    print("measure", file=process.stdin, flush=True)
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise click.ClickException(f"{process.args!r} failed; its error is above")
    numbers: dict[str, float] = json.loads(line)
    return numbers


def write_forms(model: Path, forms: Sequence[str], root: Path) -> None:
    """Write forms of a model into folders of their names."""
    for form in forms:
        write_form(model, form, root / form)


def write_form(model: Path, form: str, out: Path) -> None:
    """Write a form of a model as the stage `quantize` does; fp32 and bf16 as plain folders."""
    import torch

    from lockstep.export import gguf_conversion
    from lockstep.models import base_format, loading, quantization, saving

    out.mkdir()
    if gguf_folder.is_gguf_method(form):
        gguf_conversion.write_gguf(model, out / gguf_folder.GGUF_FILE, form)
        shutil.copy(model / "config.json", out)
    elif form in ("nf4", "int8"):
        settings = quantization.QuantizeParams.model_validate(
            {"method": form, "double_quantization": True, "precision": "fp32"}
        )
        quantization.write_quantized_model(model, None, out, settings, "eager", 4.0)
    else:
        dtype = loading.DTYPES[form]
        loaded = loading.load_model(model, dtype, "eager", "cpu").to(getattr(torch, dtype))
        saving.save_model(loaded, out, 4.0)
    base_format.copy_other_files(model, out)


def format_table(sizes: Mapping[str, int], numbers: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: medians of the rounds, with ratios to the first form.

    `sizes` are the bytes of the weights by form, `numbers` the measurements of each round.
    """
    heads = [f"{name.replace('_', ' at batch ')}, {unit}" for name, unit in MEASURED.items()]
    yield f"| form | MB | {' | '.join(heads)} |"
    yield f"|---|{'--:|' * (len(heads) + 1)}"
    medians = {
        form: {name: statistics.median(run[name] for run in runs) for name in MEASURED}
        for form, runs in numbers.items()
    }
    first = next(iter(medians))
    for form, values in medians.items():
        cells = [_format_cell(sizes[form] / 1e6, sizes[form] / sizes[first])]
        cells += [_format_cell(value, value / medians[first][n]) for n, value in values.items()]
        yield f"| {form} | {' | '.join(cells)} |"


def _format_cell(value: float, ratio: float) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} ({ratio:.2f})"


def format_spread(numbers: Mapping[str, Sequence[Any]]) -> str:
    """Return how much the times of the rounds differ at most, as a share of their median."""
    spreads = {
        (form, name): (max(values) - min(values)) / statistics.median(values)
        for form, runs in numbers.items()
        for name in MEASURED.keys() - {"peak"}
        if (values := [run[name] for run in runs])
    }
    form, name = max(spreads, key=spreads.__getitem__)
    return (
        f"Largest difference between rounds: {spreads[form, name]:.0%} ({form}, {name}), median "
        f"{statistics.median(spreads.values()):.0%}."
    )


def measure_forms(model: Path, forms: Sequence[str], rounds: int, root: Path) -> Iterator[str]:
    """Yield the lines of a model's table; `root` is a temporary folder."""
    run_in_process(write_forms, model, forms, root)
    sizes = {form: gguf_folder.count_weight_bytes(root / form) for form in forms}
    with ExitStack() as stack:
        processes = {form: stack.enter_context(start_process(root / form)) for form in forms}
        numbers: dict[str, list[Any]] = {form: [] for form in forms}
        for number in range(rounds):
            for form, process in processes.items():
                click.echo(f"round {number + 1} of {rounds}: {form}", err=True)
                numbers[form].append(ask_process(process))
    yield from format_table(sizes, numbers)
    yield ""
    yield format_spread(numbers)


@click.command(help=__doc__)
@click.argument("models", nargs=-1, type=click.Choice([TUNED, *SIZES]))
@click.option("--rounds", default=3, show_default=True, help="Number of measurements of each form.")
@click.option(
    "--form",
    "forms",
    type=click.Choice(FORMS),
    multiple=True,
    default=FORMS,
    help="Form to measure, all by default; the first one is the base of the ratios.",
)
@click.option("--folder", type=IN_FOLDER, hidden=True, help="Serve this folder in this process.")
def main(models: tuple[str, ...], rounds: int, forms: tuple[str, ...], folder: Path | None) -> None:
    """Measure the forms and print a table for each model."""
    if folder is not None:
        serve(folder)
        return
    for name in models or (TUNED, *SIZES):
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as temporary:
            root, model = Path(temporary), Path("data/merged")
            if name in SIZES:
                model = root / "model"
                run_in_process(build_model, model, SIZES[name])
            click.echo(f"\n{name}, median of {rounds} rounds, ratio to {forms[0]} in brackets\n")
            for line in measure_forms(model, forms, rounds, root):
                click.echo(line)


if __name__ == "__main__":
    run(main)
