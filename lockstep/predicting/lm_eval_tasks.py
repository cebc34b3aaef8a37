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

from lockstep.errors import UserError
from lockstep.models import chat
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
"""A choice among labels as lm-eval's configuration of a task has it."""


RESAMPLES = 100
"""For the standard errors that lm-eval does not know exactly."""


class Harness(Section):
    """What lm-eval scores as well."""

    records: NaturalInt
    """So many records of each choice suite, evenly spread, at most; 0: none."""
    tasks: list[str]
    """Of lm-eval, or of configurations of our own."""
    limit: NaturalInt
    """Documents of each of the tasks at most; 0: all."""


def documents(
    tokenizer: Any, rows: Sequence[Record], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """What lm-eval reads of each record: the rendered prompt, the labels, the place of the right
    one."""
    choices = [chat.render_answer(tokenizer, label) for label in labels]
    return [
        {
            "prompt": chat.render_prompt(tokenizer, row.prompt, row.tools),
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
    model: Any, tokenizer: Any, chosen: Harness, tasks: Path, batch_size: int
) -> dict[str, dict[str, float]]:
    """{task: {figure: value}} of lm-eval's tasks, with its standard errors; groups have a line of
    their own. The folder `tasks` has configurations beyond lm-eval's own."""
    if not chosen.tasks:
        return {}
    found = _evaluated(model, tokenizer, _loaded(chosen, tasks), batch_size, chosen.limit)
    return {
        task: {
            name.removesuffix(",none"): value
            for name, value in figures.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        for task, figures in sorted(found.items())
    }


def check(chosen: Harness, tasks: Path) -> None:
    """Refuse tasks that neither lm-eval nor the folder has, or whose data are not found, before a
    model loads."""
    if chosen.tasks:
        _loaded(chosen, tasks)


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


def _loaded(chosen: Harness, tasks: Path) -> dict[str, Any]:
    with _quiet():
        manager = _manager(tasks, with_defaults=False)
        if not set(chosen.tasks) <= set(manager.all_tasks):
            manager = _manager(tasks, with_defaults=True)
        unknown = [name for name in chosen.tasks if name not in manager.all_tasks]
        if unknown:
            raise UserError(
                f"params.yaml: evaluate.harness.tasks: lm-eval has no {', '.join(unknown)}; "
                f"`lm_eval ls tasks` lists them, {tasks} may hold more"
            )
        try:
            return dict(manager.load(chosen.tasks))
        except Exception as error:  # datasets raises any class for data that it does not find
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"params.yaml: evaluate.harness.tasks: {', '.join(chosen.tasks)}: data do not load "
                f"({reason}); put them into the cache of datasets, or name files by a task of yours"
            ) from None


@cache
def _manager(folder: Path, with_defaults: bool) -> Any:
    """Who knows the tasks; lm-eval's own take 13 s to be looked through."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder), include_defaults=with_defaults)


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
