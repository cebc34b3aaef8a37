"""Stability: what a variation changes and leaves, and figures counted by hand."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.predicting import perturbations
from lockstep.predicting.perturbations import PARENT, VARIATION, Stability
from lockstep.predictions import Prediction
from lockstep.records import Record
from lockstep.statistics import robustness

LABELS = ["cancel", "track", "track_all"]
KINDS = ["again", "typos", "case", "spaces", "options"]


def chosen(*kinds: str, repeats: int = 3, rate: float = 0.5) -> Stability:
    return Stability.model_validate(
        {
            "tasks": ["intent"],
            "records": 1,
            "variations": kinds,
            "repeats": repeats,
            "temperature": 0.7,
            "rate": rate,
            "paraphrases": "",
        },
        strict=False,
    )


def record(question: str, answer: str = "track", system: str = "Choose a label.") -> Record:
    turns = [("system", system), ("user", question), ("assistant", answer)]
    return Record(
        messages=[{"role": role, "content": content} for role, content in turns],
        task="intent",
        source="s.csv",
        origin="s.csv:2",
        slices={"language": "en"},
    )


def questions(row: Record, *kinds: str, **settings: Any) -> list[str]:
    rows = perturbations.varied(row, "json", LABELS, chosen(*kinds, **settings), 7)
    return [one.question for one in rows]


def test_a_varied_record_names_its_parent_and_keeps_its_answer() -> None:
    parent = record("Where is order 4521?", system="One of: cancel, track, track_all.")
    rows = perturbations.varied(parent, "json", LABELS, chosen(*KINDS), 7)
    assert Counter(row.slices[VARIATION] for row in rows)["again"] == 3
    assert {row.slices[VARIATION] for row in rows} == set(KINDS)
    for row in rows:
        assert row.slices[PARENT] == parent.id
        assert row.slices["language"] == "en"
        assert row.origin == f"{parent.id}:{row.slices[VARIATION]}"
        assert row.answer == parent.answer
        assert (row.id == parent.id) == (row.slices[VARIATION] == "again")


def test_a_seed_gives_the_same_variations_and_another_one_others() -> None:
    row = record("Please tell me where my parcel with the lamps is at the moment.")
    first, again, other = (
        [one.question for one in perturbations.varied(row, "json", LABELS, chosen("typos"), seed)]
        for seed in (7, 7, 8)
    )
    assert first == again != other


@given(st.text(alphabet="abcdefgh 0123456789退款订单查询,.", max_size=60))
def test_typos_and_spaces_leave_digits_and_marks(question: str) -> None:
    def rest(text: str, letters: str) -> str:
        return re.sub(letters, "", text)

    for text in questions(record(question or "x"), "typos", rate=1.0):
        assert rest(text, r"[^\W\d]") == rest(question, r"[^\W\d]")
    for text in questions(record(question or "x"), "spaces", rate=1.0):
        assert rest(text, " ") == rest(question, " ")


@pytest.mark.parametrize("word", ["cushion", "什么时候"])
def test_a_typo_is_one_slip_of_the_hand(word: str) -> None:
    found = set(questions(record(word), "typos", repeats=40))
    inner = range(1, len(word) - 1)
    exchanged = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in inner}
    left_out = {word[:i] + word[i + 1 :] for i in range(1, len(word))}
    doubled = {word[:i] + word[i] + word[i:] for i in range(1, len(word))}
    assert found <= exchanged | left_out | doubled
    assert found & exchanged and found & left_out and found & doubled


def test_case_is_capitals_and_chinese_has_none() -> None:
    assert questions(record("Where is order 42?"), "case") == ["WHERE IS ORDER 42?"]
    assert questions(record("订单42在哪里？"), "case") == []


def test_what_the_answer_takes_from_the_question_stays() -> None:
    row = record("I bought a blue raincoat in Porto.", '{"colour": "blue", "city": "Porto"}')
    for text in questions(row, "typos", "case", rate=1.0):
        assert "blue" in text and "Porto" in text
        assert "raincoat" not in text


def test_options_change_places_where_a_turn_lists_each_once() -> None:
    row = record("Where is it?", system="One of: cancel, track_all, track.")
    rows = perturbations.varied(row, "json", LABELS, chosen("options", repeats=30), 7)
    said = [one.messages[0]["content"] for one in rows]
    assert len(said) == len(set(said)) == 5  # 3! orders, without its own
    assert all(sorted(re.findall(r"\w+", text)) == sorted(
        ["One", "of", "cancel", "track", "track_all"]) for text in said)  # fmt: skip
    for system in ("Choose a label.", "cancel, track", "track, track, cancel, track_all"):
        silent = record("Where is it?", system=system)
        assert perturbations.varied(silent, "json", LABELS, chosen("options"), 7) == []
    assert perturbations.varied(row, "json", [], chosen("options"), 7) == []


def test_a_choice_is_not_sampled_again() -> None:
    row = record("Where is it?")
    assert perturbations.varied(row, "choice", LABELS, chosen("again"), 7) == []
    assert len(perturbations.varied(row, "text", LABELS, chosen("again"), 7)) == 3


def test_plain_text_has_no_question_to_vary() -> None:
    row = replace(record("x"), messages=[{"role": "assistant", "content": "Some text."}])
    rows = perturbations.varied(row, "json", LABELS, chosen(*KINDS), 7)
    assert [one.slices[VARIATION] for one in rows] == ["again"] * 3


def prediction(name: str, answer: str, reference: str = "track", **slices: str) -> Prediction:
    return Prediction(
        id=name, task="intent", slices=slices, question="", prompt="", reference=reference,
        prediction=answer,
        score=float(answer == reference),
    )  # fmt: skip


def test_figures_by_hand() -> None:
    rows = [
        prediction("a", "track"),
        prediction("a1", "track", parent="a", variation="typos"),
        prediction("a2", "cancel", parent="a", variation="typos"),
        prediction("a3", "track", parent="a", variation="case"),
        prediction("b", "cancel"),
        prediction("b1", "cancel", parent="b", variation="typos"),
        prediction("c", "track"),
    ]
    figures = robustness.figures(rows, "choice")
    assert figures == {
        "overall": {
            "records": 2, "variants": 4, "agreement": pytest.approx((2 / 3 + 1) / 2),
            "interval": [0, 1], "all_agree": 1 / 2,  # t of one degree of freedom, cut to the scale
            "score": 2 / 4, "score_unchanged": 1 / 2,
        },
        "case": {
            "records": 1, "variants": 1, "agreement": 1, "interval": None, "all_agree": 1,
            "score": 1, "score_unchanged": 1,
        },
        "typos": {
            "records": 2, "variants": 3, "agreement": (1 / 2 + 1) / 2, "interval": [0, 1],
            "all_agree": 1 / 2,
            "score": 1 / 3, "score_unchanged": 1 / 2,
        },
    }  # fmt: skip
    assert robustness.figures([rows[0]], "choice") == {}


@pytest.mark.parametrize(
    ("answer", "reference", "one", "other", "agreement"),
    [
        ("json", "{}", '{"a": 1, "b": 2}', '{"b":2,"a":1.0}', 1),
        ("json", "{}", "no JSON", "no JSON", 1),
        ("json", "{}", "no JSON", "nor this", 0),
        ("text", "", "the parcel", "the parcel came", 2 * 2 / (2 + 3)),  # ROUGE-L
        ("text", "", "", "", 1),
        ("refusal", "unsafe", "I cannot help with that.", "抱歉，我帮不了您。", 1),
        ("refusal", "unsafe", "I cannot help with that.", "Press the button.", 0),
        ("refusal", "unsafe", "", "Press the button.", 0),
        (
            "rules",
            '[{"rule": "contains", "text": "42"}, {"rule": "lacks", "text": "no"}]',
            "It is 42.", "It is 43.", 1 / 2,
        ),
    ],
)  # fmt: skip
def test_agreement_is_that_of_the_suite_s_answers(
    answer: Any, reference: str, one: str, other: str, agreement: float
) -> None:
    rows = [
        prediction("a", one, reference),
        prediction("a1", other, reference, parent="a", variation="again"),
    ]
    found = robustness.figures(rows, answer)["overall"]
    assert found["agreement"] == pytest.approx(agreement)
    assert found["all_agree"] == (agreement == 1)


def test_paraphrases_are_variants_of_the_first_of_their_value() -> None:
    rows = [
        prediction("a", "track", same="1"),
        prediction("b", "track", same="2"),
        prediction("c", "cancel", same="1"),
        prediction("d", "track"),
        replace(prediction("e", "track", same="1"), task="other"),
    ]
    found = perturbations.paraphrased(rows, "same")
    assert [(row.id, row.slices.get(PARENT)) for row in found] == [
        ("a", None), ("b", None), ("c", "a"), ("e", None),
    ]  # fmt: skip
    assert robustness.figures(found, "choice")["paraphrase"]["agreement"] == 0
