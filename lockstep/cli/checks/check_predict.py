"""Checks of the suites that the model is asked."""

from collections.abc import Iterator
from typing import get_args

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import EvaluateParams, PrepareParams
from lockstep.metrics.suites import CHOSEN, NUMBERS, Answer
from lockstep.training.train_params import Train

GENERATIVE_ANSWERS = tuple(form for form in get_args(Answer) if form not in NUMBERS)
"""Answer forms of a generative model."""

HEAD_ANSWERS = {
    "classification": ("label", "labels"),
    "regression": ("number",),
    "reward": ("preference",),
}
"""Answer forms of a model with a head, by its objective."""


def check_tasks(prepare: PrepareParams, evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line for each suite whose task no source has, or has without labels."""
    names = SourceNames(prepare.sources)
    for suite in evaluate.suites:
        if names.unknown_tasks([suite.task]):
            yield f"evaluate.suites: no source has task {suite.task}; {list_known(names.tasks)}"
        elif (
            suite.answer in CHOSEN
            and suite.task not in names.labelled_tasks
            and not names.labelled_tasks_are_open
        ):
            yield (
                f"evaluate.suites: task {suite.task} has no labels to choose from; "
                "set its answer to json or text"
            )


def check_objective(train: Train, evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line for each question that a model of the training objective cannot answer."""
    forms = HEAD_ANSWERS.get(train.objective, GENERATIVE_ANSWERS)
    for suite in evaluate.suites:
        if suite.answer not in forms:
            yield (
                f"evaluate.suites: task {suite.task}: a model trained for {train.objective} gives "
                f"no {suite.answer}; set its answer to {' or '.join(forms)}"
            )
    if train.objective in HEAD_ANSWERS and evaluate.harness.tasks:
        yield (
            f"evaluate.harness: a model trained for {train.objective} generates no text; "
            "name no tasks"
        )
    if train.objective == "reward" and evaluate.retrieval.lengths:
        yield (
            "evaluate.retrieval: a model trained for reward generates no text; set lengths to []"
        )


def check_perturbations(prepare: PrepareParams, evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line for each name in the robustness test that no suite or source defines."""
    suites = [suite.task for suite in evaluate.suites]
    for task in evaluate.stability.tasks:
        if task not in suites:
            yield f"evaluate.stability.tasks: no suite {task}; {list_known(suites)}"
    slices = SourceNames(prepare.sources).slices
    name = evaluate.stability.paraphrases
    if name and name not in slices:
        yield (
            f"evaluate.stability.paraphrases: no source has the slice {name}; {list_known(slices)}"
        )


def check_vllm(evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line if vLLM is to generate answers and this machine cannot run it."""
    from lockstep.inference import vllm_backend

    if evaluate.vllm_writes:
        vllm_backend.check_machine()
    yield from ()
