"""Compare speed and memory of the forms of a model: transformers, bitsandbytes and llama.cpp.

`python -m benchmarks.decoding [MODEL …]` measures the tuned sample model and a random Qwen2 model
of 150M parameters with the starter's tokenizer; it needs the outputs of `make`. Each form is
written as the stage `quantize` writes it, and measured in a process of its own, whose peak memory
counts. The forms take turns for `--rounds` rounds, and the median of each number is printed with
its ratio to fp32.

- decode: milliseconds for each generated token, with one sequence and with eight at a time; the
  time of a step divided by its sequences. Prompts have 32 random tokens, answers 64.
- prefill: prompt tokens per second, for one prompt of 256 tokens.
- memory: the peak of the process, with Python and the libraries.
"""

import json
import logging
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from benchmarks.training import build_model, run_in_process, run_measured
from lockstep.cli.runner import IN_FOLDER
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
BATCHES = (1, 8)
PROMPT_TOKENS, ANSWER_TOKENS, PREFILL_TOKENS = 32, 64, 256
MEASURED = {"decode_1": "ms", "decode_8": "ms", "prefill": "tokens/s", "peak": "MiB"}
"""Measured number -> its unit."""


class Bench:
    """Measure the form in a folder, in this process."""

    def __init__(self, folder: Path) -> None:
        """Load the model of a folder; llama.cpp loads a GGUF file for each batch."""
        import torch
        from ruamel.yaml import YAML

        from lockstep.inference import latency, llama_cpp_generation
        from lockstep.models import loading

        values = YAML(typ="safe", pure=True).load(Path("params.yaml"))["compute"]
        torch.set_num_threads(values["threads"])
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # names each cast of int8
        self.folder = folder
        self.vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        self.is_gguf = gguf_folder.is_gguf_folder(folder)
        self.time_steps: Any = latency.time_decoding
        if self.is_gguf:
            self.time_steps = llama_cpp_generation.time_tokens
        else:
            self.model = loading.load_model(folder, "auto", values["attention"], "cpu")

    def measure(self) -> dict[str, float]:
        """Return the milliseconds of a token by batch, and the prompt tokens per second."""
        decode = {}
        for batch in BATCHES:
            times = self.time_prompts(batch, PROMPT_TOKENS, ANSWER_TOKENS)[1:]
            decode[f"decode_{batch}"] = 1000 * sum(times) / len(times) / batch
        seconds = self.time_prompts(1, PREFILL_TOKENS, 2)[0]
        return {**decode, "prefill": PREFILL_TOKENS / seconds}

    def time_prompts(self, batch: int, length: int, tokens: int) -> list[float]:
        """Return the seconds of each decoding step with prompts of `length`, after a warm-up."""
        with self.open_model(batch) as model:
            self.time_steps(model, self.draw_prompts(batch, length), 0, 2)
            times: list[float] = self.time_steps(model, self.draw_prompts(batch, length), 0, tokens)
        return times

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


def measure_process(folder: Path, form: str) -> dict[str, float]:
    """Return the numbers of one form, measured in a new process."""
    command = [sys.executable, "-m", "benchmarks.decoding", "--folder", str(folder / form)]
    process = run_measured(command, folder, PYTHONPATH=str(Path.cwd()))
    numbers: dict[str, float] = json.loads((folder / form / "numbers.json").read_text())
    return {**numbers, "peak": process.peak_mib}


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


@click.command(help=__doc__)
@click.argument("models", nargs=-1, type=click.Choice([TUNED, *SIZES]))
@click.option("--rounds", default=3, show_default=True, help="Number of runs of each form.")
@click.option(
    "--form",
    "forms",
    type=click.Choice(FORMS),
    multiple=True,
    default=FORMS,
    help="Form to measure, all by default; the first one is the base of the ratios.",
)
@click.option("--folder", type=IN_FOLDER, hidden=True, help="Measure this folder in this process.")
def main(models: tuple[str, ...], rounds: int, forms: tuple[str, ...], folder: Path | None) -> None:
    """Measure the forms and print a table for each model."""
    if folder is not None:
        (folder / "numbers.json").write_text(json.dumps(Bench(folder).measure()))
        return
    for name in models or (TUNED, *SIZES):
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as temporary:
            root, model = Path(temporary), Path("data/merged")
            shutil.copy("params.yaml", root)
            if name in SIZES:
                model = root / "model"
                run_in_process(build_model, model, SIZES[name])
            for kind in forms:
                run_in_process(write_form, model, kind, root / kind)
            sizes = {kind: gguf_folder.count_weight_bytes(root / kind) for kind in forms}
            numbers: dict[str, list[Any]] = {kind: [] for kind in forms}
            for _ in range(rounds):
                for kind in forms:
                    numbers[kind].append(measure_process(root, kind))
            click.echo(f"\n{name}, median of {rounds} rounds, ratio to {forms[0]} in brackets\n")
            for line in format_table(sizes, numbers):
                click.echo(line)


if __name__ == "__main__":
    main()
