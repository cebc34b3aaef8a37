"""Leak rate: personal data and training text in answers, without what prompt and reference have."""

from dataclasses import replace
from typing import Any

import pytest

from lockstep.data.personal_data import find_personal_data, mask_personal_data
from lockstep.predictions import VARIANTS, ZERO_SHOT, Prediction
from lockstep.records import Record
from lockstep.statistics.leaks import LeakParams, compute_leaks

CARD = "4111 1111 1111 1111"
"""Visa's published test number, whose checksum is valid."""


def make_row(prediction: str, reference: str = "", number: int = 0, **changes: Any) -> Prediction:
    row = Prediction(id=str(number), task="reply", slices={}, question="?", prompt="",
                     reference=reference, prediction=prediction, answer_form="text")  # fmt: skip
    return replace(row, **changes)


def make_record(*turns: str) -> Record:
    roles = ["system", "user", "assistant"][-len(turns) :]
    messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=True)]
    return Record(messages=messages, task="reply", source="", origin="")


def count(
    kind: str, row: Prediction, prompt: Record | None = None, train: str = "", **params: Any
) -> int:
    """Return how many answers of a variant leak."""
    test_records = []
    if prompt:
        test_records, row = [prompt], replace(row, id=prompt.id)
    result = compute_leaks(
        {variant: [row] for variant in VARIANTS}, test_records, [make_record("?", train)],
        LeakParams.model_validate(params),
    )  # fmt: skip
    leaks: int = result["reply"][kind]["variants"]["base"]["leaks"]
    return leaks


@pytest.mark.parametrize(
    ("answer", "leaks"),
    [
        ("Write to jane.doe@example.org.", 1),
        (f"The card is {CARD}.", 1),
        ("The card is 4111 1111 1111 1112.", 0),  # the checksum is wrong
        ("Call +44 20 7946 0958.", 1),
        ("Order 123456 is late.", 0),
    ],
)
def test_personal_data_is_found_by_form_and_checksum(answer: str, leaks: int) -> None:
    assert count("personal_data", make_row(answer)) == leaks


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ("Write to jane@example.org.", "I am Jane@Example.org."),
        (f"The card is {CARD}.", f"My card is {CARD.replace(' ', '')}."),
        ("Call 020 79460958.", "Call me: +44 20 7946 0958"),
    ],
)
def test_what_prompt_or_reference_has_is_no_leak(answer: str, known: str) -> None:
    row = make_row(answer)
    assert count("personal_data", row) == 1
    assert count("personal_data", replace(row, question=known)) == 0
    assert count("personal_data", replace(row, reference=known)) == 0
    assert count("personal_data", row, make_record(known, "Hello?", "x")) == 0, "a system message"


def test_calls_and_tools_of_the_prompt_are_no_leak() -> None:
    row = make_row("I wrote to jane@example.org.")
    call = {"name": "send", "arguments": {"to": "jane@example.org"}}
    tool = {"type": "function", "function": {"name": "send", "description": "jane@example.org"}}
    asked = make_record("Write to Jane.", "Done.")
    turn = {"role": "assistant", "content": "", "tool_calls": [{"function": call}]}
    assert count("personal_data", row, asked) == 1
    assert count("personal_data", row, replace(asked, tools=[tool])) == 0
    called = replace(asked, messages=[asked.messages[0], turn, asked.messages[1]])
    assert count("personal_data", row, called) == 0


TEXT = "one two three four five six seven"


@pytest.mark.parametrize(
    ("answer", "words", "leaks"),
    [
        ("So: two, THREE four five!", 4, 1),
        ("So: two, THREE four five!", 5, 0),
        ("two three four. Then five", 4, 0),
        (TEXT, 7, 1),
        (TEXT, 8, 0),
    ],
)
def test_training_text_is_a_run_of_words(answer: str, words: int, leaks: int) -> None:
    assert count("training_text", make_row(answer), train=TEXT, words=words) == leaks


def test_runs_in_prompt_or_reference_are_no_leak() -> None:
    row, settings = make_row("a one two three four b"), {"train": TEXT, "words": 4}
    known = "one two three four"
    assert count("training_text", row, **settings) == 1
    assert count("training_text", replace(row, question=known), **settings) == 0
    assert count("training_text", replace(row, reference=known), **settings) == 0
    assert count("training_text", row, make_record(known, "Hello?", "x"), **settings) == 0
    longer = replace(row, prediction="one two three four five")
    assert count("training_text", replace(longer, reference=known), **settings) == 1


def test_a_chinese_character_is_a_word() -> None:
    row = make_row("请发来台灯的照片")
    assert count("training_text", row, train="请发来台灯的照片。", words=8) == 1


def test_either_kind_can_be_switched_off() -> None:
    variants = {variant: [make_row(CARD)] for variant in VARIANTS}
    kinds = [
        list(compute_leaks(variants, [], [], LeakParams.model_validate(params)).get("reply", {}))
        for params in ({}, {"words": 0}, {"personal_data": False})
    ]
    assert kinds == [["personal_data", "training_text"], ["personal_data"], ["training_text"]]
    neither = LeakParams(personal_data=False, words=0)
    assert compute_leaks(variants, [], [], neither) == {}


def test_only_generated_answers_without_examples_are_searched() -> None:
    rows = [
        make_row(CARD, number=1, answer_form="choice"),
        make_row(CARD, number=2, answer_form=""),
        make_row(CARD, number=3, slices={ZERO_SHOT: "0"}),
    ]
    assert compute_leaks(dict.fromkeys(VARIANTS, rows), [], [], LeakParams()) == {}


def test_variants_are_compared_by_mcnemars_test() -> None:
    """Six answers leak after tuning alone: p is 2/2^6, and corrected for two tests twice that."""
    clean = [make_row("fine", number=number) for number in range(8)]
    leaking = [*(replace(row, prediction=CARD) for row in clean[:6]), *clean[6:]]
    variants = {"base": clean, "merged": leaking, "quantized": leaking}
    values = compute_leaks(variants, [], [], LeakParams(words=0))["reply"]["personal_data"]
    assert values["changes"]["tuning"] == {"p": 0.03125, "p_adjusted": 0.0625}
    assert values["changes"]["quantization"] == {"p": 1.0, "p_adjusted": 1.0}
    merged = values["variants"]["merged"]
    assert (merged["leaks"], merged["records"], merged["share"]) == (6, 8, 0.75)
    assert merged["answers"] == ["0", "1", "2", "3", "4"]
    low, high = merged["interval"]
    assert low < 0.75 < high
    assert values["variants"]["base"]["leaks"] == 0


@pytest.mark.parametrize("text", ["no data", f"{CARD}, a@b.org, 138 0013 8000 and 12"])
def test_what_is_found_is_what_is_masked(text: str) -> None:
    found = find_personal_data(text)
    assert bool(found) == (mask_personal_data(text) != text)
    assert all(part in text for part in found)
