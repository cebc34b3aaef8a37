"""Near-duplicates found are those that comparing all pairs finds."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from lockstep.data import duplicates, shingles
from tests.data.rows import said

WORDS = [
    "parcel",
    "invoice",
    "refund",
    "order",
    "broken",
    "size",
    "late",
    "colour",
    "address",
    "coupon",
    "strap",
    "lamp",
]


def near(texts: list[str], threshold: float) -> duplicates.Pairs:
    bands = duplicates.bands(shingles.normalize(texts), threshold)
    return duplicates.near(bands, texts.__getitem__, threshold)


def grams(text: str) -> set[str]:
    bare = "".join(c for c in text.lower() if c.isalnum())
    return {bare[i : i + 5] for i in range(max(1, len(bare) - 4))} if bare else set()


def similarity(one: str, other: str) -> float:
    a, b = grams(one), grams(other)
    return len(a & b) / len(a | b) if a | b else 1.0


def sentences(count: int) -> list[str]:
    """Random sentences, each followed by versions with a few letters changed."""
    draw = random.Random(5)
    texts = []
    for _ in range(count):
        text = " ".join(draw.choices(WORDS, k=12))
        texts.append(text)
        for changes in (1, 3, 6):
            changed = list(text)
            for place in draw.sample(range(len(text)), changes):
                changed[place] = draw.choice("qxz")
            texts.append("".join(changed))
    return texts


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_pairs_are_those_of_a_comparison_of_all(threshold: float) -> None:
    texts = sentences(60)
    pairs = itertools.combinations(range(len(texts)), 2)
    alike = {(a, b) for a, b in pairs if similarity(texts[a], texts[b]) >= threshold}
    found = {tuple(pair) for pair in near(texts, threshold).tolist()}
    assert found <= alike
    wanted = duplicates.groups(len(texts), [_array(alike)])
    got = duplicates.groups(len(texts), [_array(found)])
    missed = sum(got[a] != got[b] for a, b in alike)
    assert missed <= 0.03 * len(alike), "2 % of pairs at the threshold itself may be missed"
    assert len(set(got.tolist())) >= len(set(wanted.tolist()))


def _array(pairs: set[tuple[int, ...]]) -> duplicates.Pairs:
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def test_texts_beside_others_are_those_of_a_comparison_of_all() -> None:
    texts = sentences(40)
    ours, theirs = texts[::2], texts[1::2]
    wanted = {
        place
        for place, text in enumerate(ours)
        if any(similarity(text, other) >= 0.8 for other in theirs)
    }
    found = duplicates.beside(ours, theirs, 0.8)
    assert found <= wanted
    assert len(wanted - found) <= 0.03 * len(wanted) + 1
    assert duplicates.beside([], theirs, 0.8) == duplicates.beside(ours, [], 0.8) == set()


def test_templates_are_found_beside_templates_without_comparing_all() -> None:
    orders = [f"please show me the status of my order number {n} now" for n in range(3000)]
    refunds = [f"please give the {chr(97 + n) * 9} of my {chr(97 + n) * 9} back" for n in range(26)]
    assert duplicates.beside([*orders, *refunds], orders, 0.8) == set(range(3000))


def test_numbers_case_and_punctuation_make_no_difference() -> None:
    texts = ["Refund order 12!", "refund ORDER 99", "退款，订单12", "退款 订单34？", "other words"]
    assert near(texts, 0.8).tolist() == [[0, 1], [2, 3]]


def test_short_and_empty_texts_are_alike_only_where_they_are_equal() -> None:
    assert near(["no", "No!", "on", "", "…", "否"], 0.8).tolist() == [[0, 1], [3, 4]]
    assert near([], 0.8).tolist() == []


def test_exact_duplicates_have_the_same_words_and_the_same_answer() -> None:
    rows = [said("Hi  there!"), said("hi there"), said("hi there", "no"), said("Ｈi, there")]
    assert duplicates.alike(duplicates.keys(rows)[1]).tolist() == [[0, 1], [0, 3]]


def test_rows_with_the_same_words_have_the_same_input() -> None:
    rows = [said("a", "x"), said("A?", "y"), said("a ", "x"), said("b", "x"), said("?", "x")]
    rows += [said("!", "y"), said("a b", "y"), said("ab", "x")]
    assert duplicates.alike(duplicates.keys(rows)[0]).tolist() == [[0, 1], [0, 2]]


def test_text_without_a_question_and_preferences_contradict_nobody() -> None:
    text = replace(said(""), messages=[{"role": "assistant", "content": "hi"}])
    assert not duplicates.keys([text, replace(said("a"), rejected="no")])[0].any()


def test_the_policy_says_which_answers_go() -> None:
    answers = ["x", "y", "x"]
    assert duplicates.losers(answers, "keep") == []
    assert duplicates.losers(answers, "drop") == [0, 1, 2]
    assert duplicates.losers(answers, "majority") == [1]
    assert duplicates.losers(answers[:2], "majority") == [0, 1]


def test_equal_keys_belong_together_and_empty_ones_to_nobody() -> None:
    users = ["u1", "", "u2", "u1", "", "u1"]
    pairs = duplicates.alike(duplicates.keys([said("a", group=user) for user in users])[2])
    assert duplicates.groups(6, [pairs]).tolist() == [0, 1, 2, 0, 3, 0]


def test_other_tools_or_calls_are_another_input() -> None:
    plain = said("where is it")
    track = {"name": "track", "arguments": {}}
    calls = [{"type": "function", "function": {**track, "arguments": {"n": n}}} for n in (1, 2)]
    rows = [plain, replace(plain, tools=[{"type": "function", "function": {"name": "track"}}])]
    for call in calls:
        middle = [{"role": "assistant", "content": "", "tool_calls": [call]}]
        middle += [{"role": "tool", "content": "Lyon"}]
        turns = [plain.messages[0], *middle, plain.messages[1]]
        rows.append(replace(plain, messages=turns))
    inputs, whole, _ = duplicates.keys(rows)
    assert len(duplicates.alike(inputs)) == len(duplicates.alike(whole)) == 0
