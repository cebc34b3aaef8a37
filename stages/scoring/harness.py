"""lm-eval: a second opinion on the same records, its own tasks, and our suites as its tasks."""

import contextlib
import io
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stages import chat
from stages.errors import Refusal
from stages.params import NaturalInt, Section
from stages.records import Record

TASK = {
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "prompt",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "target_delimiter": "",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
"""A choice among labels as lm-eval's configuration of a task has it."""


RESAMPLES = 100
"""For the standard errors that lm-eval does not know exactly."""


class Harness(Section):
    """What lm-eval scores as well."""

    records: NaturalInt
    """So many records of each choice suite, evenly spread, at most; 0: none."""
    tasks: list[str]
    """Of lm-eval, whose data are in a folder here or in the cache of `datasets`."""
    folder: str
    """With configurations of tasks beyond lm-eval's own; empty: none."""
    limit: NaturalInt
    """Documents of each of the tasks at most; 0: all."""


def documents(
    tokenizer: Any, rows: Sequence[Record], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """What lm-eval reads of each record: the rendered prompt, the labels, the place of the right
    one."""
    choices = [chat.answer_text(tokenizer, label) for label in labels]
    return [
        {
            "prompt": chat.prompt_text(tokenizer, row.prompt, row.tools),
            "choices": choices,
            "gold": labels.index(row.answer),
        }
        for row in rows
    ]


def accuracy(
    model: Any, tokenizer: Any, rows: Sequence[Record], labels: Sequence[str], batch_size: int
) -> float:
    """Share of right choices by lm-eval's multiple-choice scoring of the same prompts."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    given = documents(tokenizer, rows, labels)
    source = {"custom_dataset": lambda **_: {"test": Dataset.from_list(given)}}
    task = ConfigurableTask(config={"task": "choice", **source, **TASK})
    found = _evaluated(model, tokenizer, {"choice": task}, batch_size, 0)
    return float(found["choice"]["acc,none"])


def results(
    model: Any, tokenizer: Any, chosen: Harness, batch_size: int
) -> dict[str, dict[str, float]]:
    """{task: {figure: value}} of lm-eval's tasks, with its standard errors; groups have a line of
    their own."""
    if not chosen.tasks:
        return {}
    found = _evaluated(model, tokenizer, _loaded(chosen), batch_size, chosen.limit)
    return {
        task: {
            name.removesuffix(",none"): value
            for name, value in figures.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        for task, figures in sorted(found.items())
    }


def check(chosen: Harness) -> None:
    """Refuse tasks that lm-eval does not know, or whose data it does not find, before a model
    loads."""
    if chosen.folder and not Path(chosen.folder).is_dir():
        raise Refusal(f"params.yaml: evaluate.harness.folder: no folder {chosen.folder}")
    if chosen.tasks:
        _loaded(chosen)


def write_task(
    folder: Path,
    place: Path,
    name: str,
    tokenizer: Any,
    rows: Sequence[Record],
    labels: Sequence[str],
) -> None:
    """A suite as a task of lm-eval: its documents and its configuration, which names them where
    they will be, in `place`."""
    from ruamel.yaml import YAML

    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
        for document in documents(tokenizer, rows, labels):
            stream.write(json.dumps(document, ensure_ascii=False) + "\n")
    files = {"test": str(place / f"{name}.jsonl")}
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    with (folder / f"{name}.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump({"task": name, **source, **TASK}, stream)


def _loaded(chosen: Harness) -> dict[str, Any]:
    with _quiet():
        manager = _manager(chosen.folder, with_defaults=False)
        if not set(chosen.tasks) <= set(manager.all_tasks):
            manager = _manager(chosen.folder, with_defaults=True)
        unknown = [name for name in chosen.tasks if name not in manager.all_tasks]
        if unknown:
            raise Refusal(
                f"params.yaml: evaluate.harness.tasks: lm-eval has no {', '.join(unknown)}; "
                "`lm_eval ls tasks` lists them, evaluate.harness.folder may hold more"
            )
        try:
            return dict(manager.load(chosen.tasks))
        except Exception as error:  # datasets raises any class for data that it does not find
            reason = " ".join(str(error).split())[:160]
            raise Refusal(
                f"params.yaml: evaluate.harness.tasks: {', '.join(chosen.tasks)}: data do not load "
                f"({reason}); put them into the cache of datasets, or name files by a task of yours"
            ) from None


@cache
def _manager(folder: str, with_defaults: bool) -> Any:
    """Who knows the tasks; lm-eval's own take 13 s to be looked through."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=folder or None, include_defaults=with_defaults)


def _evaluated(
    model: Any, tokenizer: Any, tasks: Mapping[str, Any], batch_size: int, limit: int
) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    with _quiet():  # progress bars of seconds
        scorer = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        # not simple_evaluate, which looks at the whole machine first: pip list, git, CPU
        found = evaluate(
            scorer, dict(tasks), limit=limit or None, bootstrap_iters=RESAMPLES, log_samples=False
        )
    return dict(found["results"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        yield
