"""The task of a request, and answers that do not suit it."""

import pytest

from lockstep import params
from lockstep.harvest.__main__ import Params
from lockstep.harvest.candidates import Candidate
from lockstep.harvest.logged_feedback import Feedback, RatedRequest
from lockstep.harvest.request_records import PLACEHOLDER, RecordMaker
from lockstep.harvest.request_tasks import OTHER_TASK, KnownTasks, read_kinds
from lockstep.records import Record
from lockstep.serving.logs.text_masking import TextMasker
from tests.conftest import REPOSITORY

KINDS = {"intent": "label", "topics": "labels", "stars": "number", "slots": "json", "chat": "text"}


def make_record(answer: str, task: str = "", system: str = "") -> Record:
    turns = [
        *([{"role": "system", "content": system}] if system else []),
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": answer},
    ]
    return Record(messages=turns, task=task, source="a", origin="a:1")


def make_tasks(**settings: str) -> KnownTasks:
    labels = {"intent": ["refund", "track"], "topics": ["shop", "bill"]}
    tasks = KnownTasks(kinds=KINDS, labels=labels, masker=TextMasker(), **settings)
    tasks.add_records(
        [
            make_record("refund", "intent", "Name the intent."),
            make_record('{"a":1}', "slots"),
            make_record("Yes.", "chat"),
            make_record("Yes.", "chat", "Write to help@example.com."),
            make_record("Yes.", "story", "Same."),
            make_record("Yes.", "chat", "Same."),
        ]
    )
    return tasks


@pytest.mark.parametrize(
    ("system", "answer", "task"),
    [
        ("Name the intent.", "refund", "intent"),
        ("Name the intent.", "my money", "intent"),  # the only one with this system message
        ("", '{"a":2}', "slots"),
        ("", "Of course.", "chat"),
        ("Write to [EMAIL].", "No.", "chat"),
        ("Same.", "No.", OTHER_TASK),
        ("Another one.", "No.", OTHER_TASK),
    ],
)
def test_the_system_message_and_the_form_of_the_answer_decide(
    system: str, answer: str, task: str
) -> None:
    assert make_tasks().choose_task(make_record(answer, system=system)) == task
    assert make_tasks(forced="mine").choose_task(make_record(answer, system=system)) == "mine"


@pytest.mark.parametrize(
    ("task", "answer", "fault"),
    [
        ("intent", "refund", ""),
        ("intent", "Refund, please", "unknown_label"),
        ("topics", '["bill","shop"]', ""),
        ("topics", '["bill","other"]', "unknown_label"),
        ("stars", "3.5", ""),
        ("stars", "three", "answer_not_a_number"),
        ("slots", '{"a":1}', ""),
        ("slots", "a is 1", "answer_not_json"),
        ("chat", "anything", ""),
        (OTHER_TASK, "anything", ""),
    ],
)
def test_answers_must_suit_their_task(task: str, answer: str, fault: str) -> None:
    assert make_tasks().find_fault(task, make_record(answer)) == fault


def test_a_single_reviewed_choice_is_a_list_where_there_may_be_several() -> None:
    tasks = make_tasks()
    assert tasks.format_review("topics", "bill") == '["bill"]'
    assert tasks.format_review("topics", '["bill","shop"]') == '["bill","shop"]'
    assert tasks.format_review("intent", "refund") == "refund"
    request = RatedRequest(
        id="1",
        messages=[{"role": "user", "content": "Hello"}],
        answer="bill",
        feedback=Feedback(request_id="1"),
    )
    candidate = Candidate(request=request, origin="reviewed", answer="bill", task="topics")
    settings = params.read(Params, REPOSITORY / "params.yaml").prepare
    (made,) = RecordMaker(settings, tasks).make_records([candidate], "messages")
    assert made.record.answer == '["bill"]'


def test_tasks_without_training_records_are_no_candidates() -> None:
    tasks = {
        "intent": {"kind": "label", "records": {"train": 3, "test": 1}},
        "safety": {"kind": "rules", "records": {"train": 0, "test": 4}},
    }
    assert read_kinds(tasks) == {"intent": "label"}


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "+49 30 901820",
        "11010519491231002X",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "C-4711",
    ],
)
def test_all_placeholders_are_found(text: str) -> None:
    assert PLACEHOLDER.fullmatch(TextMasker(["C-[0-9]+"]).mask_text(text))
