"""A suite that its records do not fit is refused by name, before a model is loaded."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from lockstep.cli.checks.reference_checks import check_suites
from lockstep.errors import UserError
from lockstep.records import Record
from lockstep.suites import AnswerForm, Suite
from tests.conftest import LABELS

RULES = json.dumps([{"rule": "lacks", "text": "BANANA"}])
INTENT = Suite(task="intent", answer="choice")


@pytest.fixture
def check_against_corpus(corpus: list[Record]) -> Callable[..., None]:
    """Return a function that checks suites against the corpus and further records."""

    def run(*suites: Suite, more: tuple[Record, ...] = (), train: tuple[Record, ...] = ()) -> None:
        check_suites([*corpus, *more], suites, {"intent": LABELS}, {"train": train})

    return run


@pytest.mark.parametrize(
    ("task", "answer", "line"),
    [
        ("slot", "json", "no test record has task slot; the tasks are intent, reply, slots$"),
        ("reply", "choice", "task reply has no labels to choose from; set its answer to json or"),
        ("reply", "preference", "task reply has records without a rejected answer; set its answer"),
        ("reply", "number", "task reply has references that are not numbers; set its answer to"),
        ("reply", "written_number", "task reply has references that are not numbers; set its"),
        ("perplexity", "text", "perplexity: reserved name; give the task another one$"),
        ("intent", "text", "a task is named twice; name each once$"),
    ],
)
def test_a_suite_that_the_records_do_not_fit_is_refused(
    check_against_corpus: Callable[..., None], task: str, answer: AnswerForm, line: str
) -> None:
    with pytest.raises(UserError, match=rf"^params\.yaml: predict\.suites: {line}"):
        check_against_corpus(INTENT, Suite(task=task, answer=answer))


def test_a_suite_that_the_records_fit_passes(
    check_against_corpus: Callable[..., None], make_record: Callable[..., Record]
) -> None:
    check_against_corpus(
        INTENT, Suite(task="slots", answer="json"), Suite(task="reply", answer="text")
    )
    check_against_corpus(
        Suite(task="rating", answer="written_number"),
        more=(make_record("How warm?", "21.5", "rating"),),
    )


def test_a_suite_without_records_is_refused() -> None:
    with pytest.raises(UserError, match=r"no test record has task intent; the tasks are none$"):
        check_suites([], [INTENT], {"intent": LABELS}, {})


@pytest.mark.parametrize(
    ("answer", "reference", "line"),
    [
        ("rules", '[{"rule": "words"}]', r"the reference is not a list of rules: 0\.wor"),
        ("refusal", "harmful", "task own asks for refusals: its labels are unsafe and safe, not "),
        ("json", '{"order": 7', r"task own: the reference '\{\"order\": 7' is not JSON"),
        ("json", "", "task own: the reference '' is not JSON, so no answer can be right"),
    ],
)
def test_a_reference_that_no_answer_can_match_is_refused_with_its_place(
    check_against_corpus: Callable[..., None],
    make_record: Callable[..., Record],
    answer: AnswerForm,
    reference: str,
    line: str,
) -> None:
    good = make_record("So?", {"rules": RULES, "refusal": "safe", "json": "{}"}[answer], "own")
    bad = make_record("Hm?", reference, "own")
    suite = Suite(task="own", answer=answer)
    check_against_corpus(suite, more=(good,), train=(good,))
    with pytest.raises(UserError, match=rf"^s\.csv:Hm\?: {line}"):
        check_against_corpus(suite, more=(good, bad))
    with pytest.raises(UserError, match=rf"^s\.csv:Hm\?: {line}"):
        check_against_corpus(suite, more=(good,), train=(bad,))


def test_a_suite_of_calls_needs_functions_with_schemas() -> None:
    suite = Suite(task="t", answer="calls")
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    record = Record(messages=messages, task="t", source="a", origin="a:1")

    def check_record(record: Record) -> None:
        check_suites([record], [suite], {}, {})

    with pytest.raises(UserError, match="no record that offers tools"):
        check_record(record)
    invalid_tool = {"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/none"}}}
    record = replace(record, tools=[invalid_tool])
    with pytest.raises(UserError, match="no record that expects a call, so a model that never"):
        check_record(record)
    with pytest.raises(UserError, match=r"a:1: task t: the reference '{\"name\": \"f\"' is a call"):
        check_record(record.with_answer('{"name": "f"'))
    with pytest.raises(UserError, match=r"a:1: tools: f: parameters: \$ref: #/none is not in"):
        check_record(record.with_answer('{"name": "f", "arguments": {}}'))
