"""Our evaluation against lm-eval and the plain loop of most scripts.

`python -m benchmarks.scoring [MODEL …]`: the same records, model, threads and batch size in one
run; by default the tuned sample model and random ones of the sizes of benchmarks.training. Needs
the outputs of `make`. Choices and generation are timed in one process with the model loaded, a
second time each; start-up is that of a process that scores one record, ours and `lm_eval run`.
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

from benchmarks.training import SIZES, build, measure
from lockstep import outputs, params, records
from lockstep.cli import runner
from lockstep.inference import generation, likelihood
from lockstep.models import chat, compute, model_io
from lockstep.params import Section, Seed
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predict_params import PredictParams
from lockstep.records import Record

TUNED = "sample"
TASK = "intent"


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    predict: PredictParams


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a second call: the first one warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def one_by_one(model: Any, tokenizer: Any, prompts: list[list[int]], tokens: int) -> None:
    """The plain loop that most scripts use."""
    import torch

    for prompt in prompts:
        model.generate(
            input_ids=torch.tensor([prompt], device=model.device),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=chat.get_end_of_turn_id(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
        )


def tell(name: str, records: int, ours: float, theirs: float) -> None:
    """A line of the table."""
    click.echo(
        f"  {name:34} {records / ours:7.1f} records/s  {records / theirs:7.1f} theirs"
        f"  {theirs / ours:5.2f} times"
    )


def compare(folder: Path, chosen: Params, test: list[Record], labels: list[str]) -> None:
    """Choices and generation by one model."""
    settings = chosen.predict
    tokenizer = model_io.load_tokenizer(folder)
    model = model_io.load_model(folder, "auto", chosen.compute.attention, compute.select_device())
    click.echo(f"{model.num_parameters() / 1e6:.1f}M parameters")
    choosing = [row for row in test if row.task == TASK]
    prompts = [chat.encode_prompt(tokenizer, row.prompt) for row in choosing]
    choices = [chat.encode_answer(tokenizer, label) for label in labels]
    size, tokens = settings.batch_size, settings.max_new_tokens
    tell(
        f"choice of {len(labels)} labels, lm-eval",
        len(choosing),
        seconds(lambda: likelihood.score_choices(model, prompts, choices, size)),
        seconds(lambda: lm_eval_tasks.accuracy(model, tokenizer, choosing, labels, size)),
    )
    written = [chat.encode_prompt(tokenizer, row.prompt) for row in test if row.task != TASK]
    tell(
        f"answers of {tokens} tokens, one by one",
        len(written),
        seconds(lambda: generation.generate_answers(model, tokenizer, written, size, tokens)),
        seconds(lambda: one_by_one(model, tokenizer, written, tokens)),
    )


def start_up(row: Record, labels: list[str]) -> None:
    """Processes that score one record, of the tuned model."""
    model = Path("data/merged").resolve()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        for part in ("train", "validation", "test"):
            records.write(folder / f"{part}.jsonl", [row])
        outputs.write_json(folder / "labels.json", {TASK: labels})
        counts = dict.fromkeys(("train", "validation", "test"), 1)
        facts = {"kind": "label", "slices": [], "records": counts}
        outputs.write_json(folder / "tasks.json", {TASK: facts})
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
        command = [sys.executable, "-m", "stages.predict", str(model), ".", "tasks", "out"]
        ours = measure(command, folder, PYTHONPATH=str(Path.cwd()))
        tokenizer = model_io.load_tokenizer(model)
        lm_eval_tasks.write_task(folder, folder, TASK, tokenizer, [row], labels)
        theirs = measure(
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
            f"start-up, scoring of one record and end: {ours.seconds:.1f} s, "
            f"lm_eval {theirs.seconds:.1f} s, {theirs.seconds / ours.seconds:.2f} times"
        )


@click.command(help=__doc__)
@click.argument("sizes", nargs=-1, type=click.Choice([TUNED, *SIZES]))
@click.option("--number", default=100, show_default=True, help="Records of each kind.")
def main(sizes: tuple[str, ...], number: int) -> None:
    chosen = params.read(Params)
    compute.set_up_torch(chosen.compute, chosen.seed)
    rows = list(records.read(Path("data/prepared/test.jsonl")))
    labels = json.loads(Path("data/prepared/labels.json").read_text(encoding="utf-8"))[TASK]
    choosing = records.sample_evenly([row for row in rows if row.task == TASK], number)
    written = ("reply", "slots")
    asked = records.sample_evenly([row for row in rows if row.task in written], number)
    test = [*choosing, *asked]
    for size in sizes or (TUNED, *SIZES):
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
            folder = Path("data/merged")
            if size != TUNED:
                folder = Path(name)
                build(folder, SIZES[size])
            compare(folder, chosen, test, labels)
    start_up(choosing[0], labels)


if __name__ == "__main__":
    runner.run(main)
