"""Perturbations: what they change, what they leave, and which records they link."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from lockstep.predicting import perturbations
from lockstep.predicting.perturbations import RobustnessParams, is_resampled
from lockstep.predictions import PARENT, PERTURBATION, Prediction
from lockstep.records import Record
from lockstep.suites import Suite

LABELS = ["cancel", "track", "track_all"]
KINDS = ["resample", "typos", "case", "spaces", "options"]


def make_params(*kinds: str, **changes: Any) -> RobustnessParams:
    values = {"kinds": kinds, "repeats": 3, "rate": 0.5, **changes}
    return RobustnessParams.model_validate(values, strict=False)


def make_record(question: str, answer: str = "track", system: str = "Choose a label.") -> Record:
    turns = [("system", system), ("user", question), ("assistant", answer)]
    return Record(
        messages=[{"role": role, "content": content} for role, content in turns],
        task="intent",
        source="s.csv",
        origin="s.csv:2",
        slices={"language": "en"},
    )


def perturb(row: Record, *kinds: str, seed: int = 7, **changes: Any) -> list[Record]:
    return perturbations.perturb(row, "json", LABELS, make_params(*kinds, **changes), seed)


def list_questions(row: Record, *kinds: str, **changes: Any) -> list[str]:
    return [version.question for version in perturb(row, *kinds, **changes)]


def test_a_perturbed_record_names_its_parent_and_keeps_its_answer() -> None:
    parent = make_record("Where is order 4521?", system="One of: cancel, track, track_all.")
    versions = perturb(parent, *KINDS)
    assert Counter(row.slices[PERTURBATION] for row in versions)["resample"] == 3
    assert {row.slices[PERTURBATION] for row in versions} == set(KINDS)
    for row in versions:
        assert row.slices[PARENT] == parent.id
        assert row.slices["language"] == "en"
        assert row.origin == f"{parent.id}:{row.slices[PERTURBATION]}"
        assert row.answer == parent.answer
        assert is_resampled(row) == (row.slices[PERTURBATION] == "resample")
        assert (row.id == parent.id) == is_resampled(row)


def test_a_seed_gives_the_same_perturbations_and_another_seed_gives_others() -> None:
    row = make_record("Please tell me where my parcel with the lamps is at the moment.")
    first, again, other = (list_questions(row, "typos", seed=seed) for seed in (7, 7, 8))
    assert first == again != other


@given(st.text(alphabet="abcdefgh 0123456789退款订单查询,.", max_size=60))
def test_typos_and_spaces_do_not_change_digits_and_punctuation(question: str) -> None:
    def remove_letters(text: str, letters: str) -> str:
        return re.sub(letters, "", text)

    for text in list_questions(make_record(question or "x"), "typos", rate=1.0):
        assert remove_letters(text, r"[^\W\d]") == remove_letters(question, r"[^\W\d]")
    for text in list_questions(make_record(question or "x"), "spaces", rate=1.0):
        assert remove_letters(text, " ") == remove_letters(question, " ")


@pytest.mark.parametrize("word", ["cushion", "什么时候"])
def test_a_typo_swaps_drops_or_doubles_one_letter(word: str) -> None:
    typos = set(list_questions(make_record(word), "typos", repeats=40))
    inner = range(1, len(word) - 1)
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in inner}
    dropped = {word[:i] + word[i + 1 :] for i in range(1, len(word))}
    doubled = {word[:i] + word[i] + word[i:] for i in range(1, len(word))}
    assert typos <= swapped | dropped | doubled
    assert typos & swapped and typos & dropped and typos & doubled


@pytest.mark.parametrize("word", ["e\u0301a\u0308o\u0302u", "தமிழ்மொழி", "नमस्ते", "क्षत्र"])
def test_a_typo_leaves_marks_with_their_letters(word: str) -> None:
    letters = set(regex.findall(r"\X", word))
    for typo in list_questions(make_record(word), "typos", repeats=40):
        assert typo != word
        assert set(regex.findall(r"\X", typo)) <= letters


def test_rate_is_the_share_of_words_with_a_typo() -> None:
    words = [f"word{letter}" for letter in "abcdefghij"]
    for rate, count in ((0.0, 1), (0.3, 3), (1.0, 10)):
        (text,) = list_questions(make_record(" ".join(words)), "typos", rate=rate, repeats=1)
        changed = [old for old, new in zip(words, text.split(), strict=True) if old != new]
        assert count - 1 <= len(changed) <= count, "two equal letters may be swapped"


def test_case_capitalizes_latin_text_and_skips_chinese_text() -> None:
    assert list_questions(make_record("Where is order 42?"), "case") == ["WHERE IS ORDER 42?"]
    assert list_questions(make_record("订单42在哪里？"), "case") == []


def test_text_that_the_answer_copies_from_the_question_is_not_perturbed() -> None:
    row = make_record("I bought a blue raincoat in Porto.", '{"colour": "blue", "city": "Porto"}')
    for text in list_questions(row, "typos", "case", rate=1.0):
        assert "blue" in text and "Porto" in text
        assert "raincoat" not in text


def test_options_reorders_the_labels_of_a_turn_that_lists_each_once() -> None:
    row = make_record("Where is it?", system="One of: cancel, track_all, track.")
    systems = [version.messages[0]["content"] for version in perturb(row, "options", repeats=30)]
    assert len(systems) == len(set(systems)) == 5  # 3! orders, without the original one
    assert all(sorted(re.findall(r"\w+", text)) == sorted(
        ["One", "of", "cancel", "track", "track_all"]) for text in systems)  # fmt: skip
    for system in ("Choose a label.", "cancel, track", "track, track, cancel, track_all"):
        assert perturb(make_record("Where is it?", system=system), "options") == []
    params = make_params("options")
    assert perturbations.perturb(row, "json", [], params, 7) == []


def test_only_generated_answers_are_sampled_again() -> None:
    row, params = make_record("Where is it?"), make_params("resample")
    assert perturbations.perturb(row, "choice", LABELS, params, 7) == []
    assert len(perturbations.perturb(row, "text", LABELS, params, 7)) == 3


def test_plain_text_has_no_question_to_perturb() -> None:
    row = replace(make_record("x"), messages=[{"role": "assistant", "content": "Some text."}])
    assert [version.slices[PERTURBATION] for version in perturb(row, *KINDS)] == ["resample"] * 3


def test_suites_of_labels_are_perturbed_unless_tasks_are_named() -> None:
    labels, texts = Suite(task="intent", answer="choice"), Suite(task="reply", answer="text")
    by_default, named = make_params("case"), make_params("case", tasks=["reply"])
    disabled = make_params("case", tasks=["reply"], records=0)
    assert [by_default.covers(suite) for suite in (labels, texts)] == [True, False]
    assert [named.covers(suite) for suite in (labels, texts)] == [False, True]
    assert [disabled.covers(suite) for suite in (labels, texts)] == [False, False]


def test_the_first_record_of_a_paraphrase_group_is_the_parent_of_the_others() -> None:
    def make_prediction(name: str, task: str = "intent", **slices: str) -> Prediction:
        return Prediction(
            id=name, task=task, slices=slices, question="", prompt="", reference="track"
        )

    rows = [
        make_prediction("a", same="1"),
        make_prediction("b", same="2"),
        make_prediction("c", same="1"),
        make_prediction("d"),
        make_prediction("e", task="other", same="1"),
    ]
    linked = perturbations.link_paraphrases(rows, "same")
    assert [(row.id, row.slices.get(PARENT)) for row in linked] == [
        ("a", None), ("b", None), ("c", "a"), ("e", None),
    ]  # fmt: skip
    assert linked[2].slices == {"same": "1", PARENT: "a", PERTURBATION: "paraphrase"}
