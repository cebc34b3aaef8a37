"""Suites: the test records of a task, with the form in which a model answers them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.params import Part, Section

AnswerForm = Literal[
    "choice",
    "written_label",
    "written_number",
    "json",
    "calls",
    "text",
    "preference",
    "refusal",
    "rules",
    "label",
    "labels",
    "number",
]
"""Form of an answer: how the model gives it and what it is.

choice: the most likely label of the task; written_label, written_number, json, calls (of the
functions that a record offers), text, refusal, rules: generated text that is parsed;
preference: the better of two given answers; label, labels, number: the output of a model with a
head (classification or regression)."""

HEAD_FORMS = ("label", "labels", "number")
"""Forms that need a model with a head."""
LABEL_FORMS = ("choice", "label", "labels")
"""Forms whose answers are among the labels of the task."""
GENERATED_FORMS = ("written_label", "written_number", "json", "calls", "text", "refusal", "rules")
"""Forms whose answers are generated freely."""
JUDGED_FORMS = ("refusal", "rules")
"""Forms whose reference says how to judge an answer and is not an answer itself."""
GENERATIVE_FORMS = tuple(form for form in get_args(AnswerForm) if form not in HEAD_FORMS)
"""Forms that a generative model can give."""

FORMS_BY_OBJECTIVE: dict[str, tuple[str, ...]] = {
    "classification": ("label", "labels"),
    "regression": ("number",),
    "reward": ("preference",),
}
"""Forms that a model with a head can give, by its training objective; all other objectives train
generative models."""

RETRIEVAL = "retrieval"
"""Task of the long-context records that predict generates."""
RESERVED = ("perplexity", "bits_per_byte", "lm_eval", RETRIEVAL)
"""Keys beside the suites in metrics.json; a task cannot have one of these names."""

_GENERATIVE_FORMS_BY_KIND: dict[str, AnswerForm] = {
    "label": "choice",
    "labels": "json",
    "number": "written_number",
    "json": "json",
    "calls": "calls",
    "text": "text",
    "unpaired_preference": "text",
    "preference": "preference",
    "refusal": "refusal",
    "rules": "rules",
}
_HEAD_FORMS_BY_KIND: dict[str, dict[str, AnswerForm]] = {
    "classification": {"label": "label", "labels": "labels"},
    "regression": {"number": "number"},
    "reward": {"preference": "preference"},
}


class Suite(Section):
    """The test records of one task, and the form of their answers."""

    task: str
    """Task of the records, as `prepare.sources` names it."""
    answer: AnswerForm
    """Form of the answers."""


class ObjectiveParams(Part):
    """The only key of the section `train` that the suites depend on."""

    objective: str
    """Training objective."""


def resolve_suites(
    suites: Sequence[Suite], tasks: Mapping[str, Mapping[str, Any]], objective: str
) -> list[Suite]:
    """Return the suites of params.yaml or, where it names none, one for each task of the data.

    `tasks` is the content of tasks.json: {task: {kind, slices, records}}. A task of the data
    becomes a suite if it has test records and its kind has an answer form under the objective.
    Plain text has no answer form: only its perplexity is measured. Raise UserError if the task of
    a suite in params.yaml has no test records.
    """
    if not suites:
        forms = _HEAD_FORMS_BY_KIND.get(objective, _GENERATIVE_FORMS_BY_KIND)
        return [
            Suite(task=task, answer=forms[facts["kind"]])
            for task, facts in tasks.items()
            if facts["records"]["test"] and facts["kind"] in forms
        ]
    tested = sorted(task for task, facts in tasks.items() if facts["records"]["test"])
    for suite in suites:
        if suite.task not in tested:
            raise UserError(
                f"params.yaml: predict.suites: no test record has task {suite.task}; the tasks "
                f"are {', '.join(tested) or 'none'}"
            )
    return list(suites)


def add_retrieval(suites: Sequence[Suite], lengths: Sequence[int], objective: str) -> list[Suite]:
    """Return the suites plus long-context retrieval, if it has lengths and a generative model."""
    if not lengths or objective in FORMS_BY_OBJECTIVE:
        return list(suites)
    return [*suites, Suite(task=RETRIEVAL, answer="rules")]


def read_tasks(path: Path) -> dict[str, dict[str, Any]]:
    """Read the tasks.json of prepare; raise UserError if a task has a reserved name."""
    tasks: dict[str, dict[str, Any]] = outputs.read_json(path)
    if reserved := sorted(set(tasks) & set(RESERVED)):
        raise UserError(
            f"params.yaml: prepare.sources: {', '.join(reserved)}: this name is reserved; give "
            "the task another one"
        )
    return tasks
