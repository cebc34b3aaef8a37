"""Compare the speed of our evaluation with lm-eval and with a plain loop over prompts.

`python -m benchmarks.scoring [MODEL …]` uses the same records, model, threads and batch size for
all. By default it measures the tuned sample model and random models of the sizes in
benchmarks.training; it needs the outputs of `make`. Choices and generation are timed in one process
with the model loaded, after a warm-up. Start-up is the time of a process that scores one record:
`stages.predict` and `lm_eval run`.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from benchmarks.training import SIZES, build_model, run_measured
from lockstep import outputs, params, records
from lockstep.cli import runner
from lockstep.inference import generation, likelihood
from lockstep.models import compute, loading
from lockstep.params import Section, Seed
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predict_params import PredictParams
from lockstep.records import Record

TUNED = "sample"
"""Name of the tuned model in the arguments."""
TASK = "intent"
"""Task whose labels the models choose from."""
GENERATED_TASKS = ("reply", "slots")
"""Tasks whose answers are generated."""


class Params(Section):
    """Sections of params.yaml that the benchmark reads."""

    seed: Seed
    compute: compute.ComputeParams
    predict: PredictParams


def time_call(function: Callable[[], Any]) -> float:
    """Return the wall time of the second call in seconds; the first call warms up."""
    function()
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def generate_one_by_one(
    model: Any, tokenizer: Any, prompts: list[list[int]], max_tokens: int
) -> None:
    """Generate an answer to each prompt without batching, as most scripts do."""
    import torch

    for prompt in prompts:
        model.generate(
            input_ids=torch.tensor([prompt], device=model.device),
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=list(tokenizer.end_ids),
            pad_token_id=tokenizer.pad_token_id,
        )


def print_comparison(name: str, records: int, ours: float, theirs: float) -> None:
    """Print a line of the table, from two times in seconds."""
    click.echo(
        f"  {name:34} {records / ours:7.1f} records/s  {records / theirs:7.1f} theirs"
        f"  {theirs / ours:5.2f} times"
    )


def compare_speed(folder: Path, settings: Params, test: list[Record], labels: list[str]) -> None:
    """Compare choices and generation of the model in a folder."""
    tokenizer = loading.load_tokenizer(folder)
    model = loading.load_model(folder, "auto", settings.compute.attention, compute.select_device())
    click.echo(f"{model.num_parameters() / 1e6:.1f}M parameters")
    choice_records = [record for record in test if record.task == TASK]
    prompts = [tokenizer.encode_prompt(record.prompt) for record in choice_records]
    choices = [tokenizer.encode_answer(label) for label in labels]
    batch_size, max_tokens = settings.predict.batch_size, settings.predict.max_new_tokens
    print_comparison(
        f"choice of {len(labels)} labels, lm-eval",
        len(choice_records),
        time_call(lambda: likelihood.score_choices(model, prompts, choices, batch_size)),
        time_call(
            lambda: lm_eval_tasks.measure_accuracy(
                lm_eval_tasks.wrap_model(model, tokenizer, batch_size),
                tokenizer,
                choice_records,
                labels,
            )
        ),
    )
    generated = [tokenizer.encode_prompt(r.prompt) for r in test if r.task != TASK]
    print_comparison(
        f"answers of {max_tokens} tokens, one by one",
        len(generated),
        time_call(
            lambda: generation.generate_answers(model, tokenizer, generated, batch_size, max_tokens)
        ),
        time_call(lambda: generate_one_by_one(model, tokenizer, generated, max_tokens)),
    )


def compare_start_up(record: Record, labels: list[str]) -> None:
    """Compare processes that load the tuned model and score one record."""
    model = Path("data/merged").resolve()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        prepared = folder / "prepared"
        prepared.mkdir()
        for part in ("train", "validation", "test"):
            records.write(prepared / f"{part}.jsonl", [record])
        outputs.write_json(prepared / "labels.json", {TASK: labels})
        counts = dict.fromkeys(("train", "validation", "test"), 1)
        facts = {"kind": "label", "slices": [], "records": counts}
        outputs.write_json(prepared / "tasks.json", {TASK: facts})
        values = YAML(typ="safe", pure=True).load(Path("params.yaml"))
        values["predict"] |= {
            "suites": [{"task": TASK, "answer": "choice"}],
            "split_records": 0,
            "lm_eval": {"records": 0},
            "robustness": {"records": 0},
            "retrieval": {"lengths": []},
        }
        with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(values, stream)
        (folder / "tasks").mkdir()
        command = [sys.executable, "-m", "stages.predict", str(model), "prepared", "tasks", "out"]
        ours = run_measured(command, folder, PYTHONPATH=str(Path.cwd()))
        tokenizer = loading.load_tokenizer(model)
        lm_eval_tasks.write_task(folder, folder, TASK, tokenizer, [record], labels)
        theirs = run_measured(
            [
                *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--tasks", TASK),
                *("--model_args", f"pretrained={model}", "--device", "cpu"),
                *("--include_path", name, "--output_path", f"{name}/theirs"),
            ],
            folder,
            HF_HUB_OFFLINE="1",
            HF_HOME=f"{name}/home",
        )
        click.echo(
            f"start-up and scoring of one record: {ours.seconds:.1f} s, "
            f"lm_eval {theirs.seconds:.1f} s, {theirs.seconds / ours.seconds:.2f} times"
        )


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=click.Choice([TUNED, *SIZES]))
@click.option(
    "--number",
    default=100,
    show_default=True,
    help="Number of records to choose for, and to generate for.",
)
def main(sizes: tuple[str, ...], number: int) -> None:
    """Measure all models and print a table for each."""
    settings = params.read(Params)
    compute.set_up_torch(settings.compute, settings.seed)
    test = list(records.read(Path("data/prepared/test.jsonl")))
    labels = json.loads(Path("data/prepared/labels.json").read_text(encoding="utf-8"))[TASK]
    choice_records = records.sample_evenly([r for r in test if r.task == TASK], number)
    generated = records.sample_evenly([r for r in test if r.task in GENERATED_TASKS], number)
    for size in sizes or (TUNED, *SIZES):
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
            folder = Path("data/merged")
            if size != TUNED:
                folder = Path(name)
                build_model(folder, SIZES[size])
            compare_speed(folder, settings, [*choice_records, *generated], labels)
    compare_start_up(choice_records[0], labels)


if __name__ == "__main__":
    runner.run(main)
