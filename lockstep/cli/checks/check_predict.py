"""Checks of the section `predict`."""

from collections.abc import Iterator

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import PredictParams, PrepareParams, TrainParams
from lockstep.suites import FORMS_BY_OBJECTIVE, GENERATIVE_FORMS, LABEL_FORMS


def check_tasks(prepare: PrepareParams, predict: PredictParams) -> Iterator[str]:
    """Yield a line for each suite whose task no source has or whose task lacks labels."""
    names = SourceNames(prepare.sources)
    for suite in predict.suites:
        if names.find_unknown_tasks([suite.task]):
            yield f"predict.suites: no source has task {suite.task}; {list_known(names.tasks)}"
        elif (
            suite.answer in LABEL_FORMS
            and suite.task not in names.labelled_tasks
            and not names.allows_any_labelled_task
        ):
            yield (
                f"predict.suites: task {suite.task} has no labels to choose from; "
                "set its answer to json or text"
            )


def check_objective(train: TrainParams, predict: PredictParams) -> Iterator[str]:
    """Yield a line for each answer that a model of the training objective cannot give."""
    forms = FORMS_BY_OBJECTIVE.get(train.objective, GENERATIVE_FORMS)
    for suite in predict.suites:
        if suite.answer not in forms:
            yield (
                f"predict.suites: task {suite.task}: a model trained for {train.objective} gives "
                f"no {suite.answer}; set its answer to {' or '.join(forms)}"
            )
    if train.objective in FORMS_BY_OBJECTIVE and predict.lm_eval.tasks:
        yield (
            f"predict.lm_eval: a model trained for {train.objective} generates no text; "
            "set tasks to []"
        )


def check_perturbations(prepare: PrepareParams, predict: PredictParams) -> Iterator[str]:
    """Yield a line for each name in the robustness test that no suite or source defines."""
    names = SourceNames(prepare.sources)
    for task in names.find_unknown_suites(predict.suites, predict.robustness.tasks):
        known = list_known(names.list_suite_tasks(predict.suites))
        yield f"predict.robustness.tasks: no suite {task}; {known}"
    name = predict.robustness.paraphrases
    if name and name not in names.slices:
        yield (
            f"predict.robustness.paraphrases: no source has the slice {name}; "
            f"{list_known(names.slices)}"
        )


def check_few_shot(prepare: PrepareParams, predict: PredictParams) -> Iterator[str]:
    """Yield a line for each few-shot suite whose task no suite or whose examples no source has."""
    names = SourceNames(prepare.sources)
    for setting in predict.few_shot:
        if names.find_unknown_suites(predict.suites, [setting.task]):
            known = list_known(names.list_suite_tasks(predict.suites))
            yield f"predict.few_shot: no suite {setting.task}; {known}"
        if setting.examples and names.find_unknown_tasks([setting.examples]):
            yield (
                f"predict.few_shot: examples: no source has task {setting.examples}; "
                f"{list_known(names.tasks)}"
            )


def check_vllm(predict: PredictParams) -> Iterator[str]:
    """Raise UserError if the backend is vllm and this machine cannot run it; yield nothing."""
    from lockstep.inference import vllm_backend

    if predict.backend == "vllm":
        vllm_backend.check_machine()
    yield from ()
