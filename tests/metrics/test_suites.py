"""What a suite cannot measure is refused by name, before a model is asked."""

import json
from collections.abc import Callable

import pytest
from lockstep.metrics.suites import Suite
from pydantic import ValidationError

from lockstep.errors import UserError
from lockstep.metrics import suites
from lockstep.predicting.predict_params import Asked
from lockstep.records import Record
from tests.conftest import LABELS, tiny_params

RULES = json.dumps([{"rule": "lacks", "text": "BANANA"}])


def suite(task: str, answer: str, metric: str) -> Suite:
    return Suite.model_validate({"task": task, "answer": answer, "metrics": [metric]})


INTENT = suite("intent", "choice", "accuracy")


@pytest.fixture
def checked(corpus: list[Record]) -> Callable[..., None]:
    """Suites held against the corpus and further records."""

    def of(*chosen: Suite, more: tuple[Record, ...] = ()) -> None:
        suites.check([*corpus, *more], chosen, {"intent": LABELS})

    return of


@pytest.mark.parametrize(
    ("task", "answer", "metric", "line"),
    [
        ("slot", "json", "valid", "no test record has task slot; the tasks are intent, reply, slo"),
        ("reply", "choice", "accuracy", "task reply has no labels to choose from; set its answer"),
        ("reply", "preference", "accuracy", "task reply has records without a rejected answer"),
        ("reply", "number", "r2", "task reply has answers that are no number; set its answer to"),
        ("perplexity", "text", "bleu", "name each task once, and none perplexity"),
        ("intent", "text", "bleu", "name each task once, and none perplexity, bits_per_byte, har"),
    ],
)
def test_a_suite_that_the_records_do_not_fit_is_refused(
    checked: Callable[..., None], task: str, answer: str, metric: str, line: str
):
    with pytest.raises(UserError, match=rf"^params\.yaml: evaluate\.suites: {line}"):
        checked(INTENT, suite(task, answer, metric))


def test_no_record_is_no_task():
    with pytest.raises(UserError, match=r"no test record has task intent; the tasks are none$"):
        suites.check([], [INTENT], {"intent": LABELS})


def test_no_suite_is_refused():
    with pytest.raises(ValidationError, match=r"suites\n +List should have at least 1 item"):
        Asked.model_validate(tiny_params({"evaluate.suites": []})["evaluate"], strict=False)


@pytest.mark.parametrize(
    ("answer", "metric", "reference", "line"),
    [
        (
            "rules",
            "all_followed",
            '[{"rule": "words"}]',
            "expected answer: no list of rules: 0.wor",
        ),
        (
            "refusal",
            "accuracy",
            "harmful",
            "task own asks for refusals: its labels are unsafe and ",
        ),
        (
            "json",
            "valid",
            '{"order": 7',
            r"task own: the expected answer '\{\"order\": 7' is no JSON",
        ),
        ("json", "valid", "", "task own: the expected answer '' is no JSON, so that none is right"),
    ],
)
def test_what_no_answer_can_be_judged_by_is_refused_with_its_place(
    checked: Callable[..., None],
    conversation: Callable[..., Record],
    answer: str,
    metric: str,
    reference: str,
    line: str,
):
    right = {"rules": RULES, "refusal": "safe", "json": "{}"}[answer]
    rows = conversation("So?", right, "own"), conversation("Hm?", reference, "own")
    chosen = suite("own", answer, metric)
    checked(chosen, more=rows[:1])
    with pytest.raises(UserError, match=rf"^s\.csv:Hm\?: {line}"):
        checked(chosen, more=rows)
