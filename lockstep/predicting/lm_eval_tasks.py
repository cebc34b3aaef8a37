"""Score a model by lm-eval: on records of choice suites as a second opinion, and on its tasks."""

import contextlib
import io
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models.chat import ChatTokenizer
from lockstep.params import NaturalInt, Section
from lockstep.records import Record

TASK = {
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "prompt",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "target_delimiter": "",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
"""lm-eval's configuration of a task that chooses among labels."""

RESAMPLES = 100
"""Number of bootstrap resamples for standard errors."""


class LmEvalParams(Section):
    """Records and tasks that lm-eval scores in addition."""

    records: NaturalInt = 50
    """Maximum number of records of each choice suite, sampled evenly, that lm-eval scores as a
    second opinion; 0 disables this."""
    tasks: list[str] = []
    """Tasks of lm-eval, or of the configurations in data/tasks, that are scored in addition."""
    limit: NaturalInt = 0
    """Maximum number of documents of each of these tasks; 0 takes all."""


def build_documents(
    tokenizer: ChatTokenizer, rows: Sequence[Record], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return lm-eval's documents: the rendered prompt, the labels, the reference's index."""
    choices = [tokenizer.render_answer(label) for label in labels]
    return [
        {
            "prompt": tokenizer.render_prompt(row.prompt, row.tools),
            "choices": choices,
            "gold": labels.index(row.answer),
        }
        for row in rows
    ]


def wrap_model(model: Any, tokenizer: ChatTokenizer, batch_size: int) -> Any:
    """Return a model that transformers has loaded as lm-eval asks it."""
    from lm_eval.models.huggingface import HFLM

    with _suppress_output():
        return HFLM(pretrained=model, tokenizer=tokenizer.pretrained, batch_size=batch_size)


def measure_accuracy(
    model: Any, tokenizer: ChatTokenizer, rows: Sequence[Record], labels: Sequence[str]
) -> float:
    """Return the accuracy that lm-eval's multiple-choice scoring gives for these records.

    `model` is a model of lm-eval.
    """
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    docs = build_documents(tokenizer, rows, labels)
    source = {"custom_dataset": lambda **_: {"test": Dataset.from_list(docs)}}
    with _suppress_output():  # hides hints about options of lm-eval's command line
        task = ConfigurableTask(config={"task": "choice", **source, **TASK})
    results = _evaluate(model, {"choice": task}, 0)
    return float(results["choice"]["acc,none"])


def run_tasks(model: Any, settings: LmEvalParams, folder: Path) -> dict[str, dict[str, float]]:
    """Return {task: {metric: value}} of lm-eval's tasks and groups, with its standard errors.

    `model` is a model of lm-eval; `folder` has configurations of further tasks.
    """
    scores = _evaluate(model, _load_tasks(settings, folder), settings.limit)
    return {
        task: {
            name.removesuffix(",none"): value
            for name, value in metrics.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        for task, metrics in sorted(scores.items())
    }


def check_tasks(settings: LmEvalParams, folder: Path) -> None:
    """Raise UserError if neither lm-eval nor the folder has a task, or if its data is missing."""
    if settings.tasks:
        _load_tasks(settings, folder)


def write_task(
    folder: Path,
    final_folder: Path,
    name: str,
    tokenizer: ChatTokenizer,
    rows: Sequence[Record],
    labels: Sequence[str],
) -> None:
    """Write a suite as a task of lm-eval into `folder`: its documents and its configuration.

    `folder` may be temporary: the configuration refers to the documents in `final_folder`.
    """
    from ruamel.yaml import YAML

    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
        for document in build_documents(tokenizer, rows, labels):
            stream.write(json.dumps(document, ensure_ascii=False) + "\n")
    files = {"test": str(final_folder / f"{name}.jsonl")}
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    with (folder / f"{name}.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump({"task": name, **source, **TASK}, stream)


def _load_tasks(settings: LmEvalParams, folder: Path) -> dict[str, Any]:
    with _suppress_output():
        manager = _build_task_manager(folder, with_defaults=False)
        if not set(settings.tasks) <= set(manager.all_tasks):
            manager = _build_task_manager(folder, with_defaults=True)
        unknown = [name for name in settings.tasks if name not in manager.all_tasks]
        if unknown:
            raise UserError(
                f"params.yaml: predict.lm_eval.tasks: lm-eval has no {', '.join(unknown)}; "
                f"`lm_eval ls tasks` lists them, {folder} may hold more"
            )
        try:
            return dict(manager.load(settings.tasks))
        except Exception as error:  # datasets raises any class for data that it does not find
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"params.yaml: predict.lm_eval.tasks: {', '.join(settings.tasks)}: data does not "
                f"load ({reason}); put it into the cache of datasets, or name files in a task of "
                "your own"
            ) from None


@cache
def _build_task_manager(folder: Path, with_defaults: bool) -> Any:
    """Return lm-eval's task manager; indexing its own tasks takes 13 s."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder), include_defaults=with_defaults)


def _evaluate(model: Any, tasks: Mapping[str, Any], limit: int) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate

    with _suppress_output():  # hides progress bars
        # simple_evaluate would first inspect the machine (pip list, git, CPU)
        output = evaluate(
            model, dict(tasks), limit=limit or None, bootstrap_iters=RESAMPLES, log_samples=False
        )
    return dict(output["results"])


@contextlib.contextmanager
def _suppress_output() -> Iterator[None]:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        yield
