"""MinHash finds the near-duplicates that an exhaustive comparison finds."""

import itertools
import random

import numpy as np
import pytest

from lockstep.data import duplicates, near_duplicates
from lockstep.data.duplicates import Pairs
from lockstep.data.normalized_texts import normalize_texts

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


def find_pairs(texts: list[str], threshold: float) -> Pairs:
    bands = near_duplicates.compute_bands(normalize_texts(texts), threshold)
    return near_duplicates.find_near_pairs(bands, texts.__getitem__, threshold)


def list_character_5grams(text: str) -> set[str]:
    letters = "".join(c for c in text.lower() if c.isalnum())
    return {letters[i : i + 5] for i in range(max(1, len(letters) - 4))} if letters else set()


def compute_jaccard_similarity(text: str, other: str) -> float:
    a, b = list_character_5grams(text), list_character_5grams(other)
    return len(a & b) / len(a | b) if a | b else 1.0


def make_sentences(count: int) -> list[str]:
    """Return random sentences, each followed by three versions with some letters changed."""
    rng = random.Random(5)
    texts = []
    for _ in range(count):
        text = " ".join(rng.choices(WORDS, k=12))
        texts.append(text)
        for changes in (1, 3, 6):
            changed = list(text)
            for position in rng.sample(range(len(text)), changes):
                changed[position] = rng.choice("qxz")
            texts.append("".join(changed))
    return texts


def make_pairs(pairs: set[tuple[int, ...]]) -> Pairs:
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_groups_equal_those_of_an_exhaustive_comparison(threshold: float) -> None:
    texts = make_sentences(60)
    expected = {
        (a, b)
        for a, b in itertools.combinations(range(len(texts)), 2)
        if compute_jaccard_similarity(texts[a], texts[b]) >= threshold
    }
    pairs = {tuple(pair) for pair in find_pairs(texts, threshold).tolist()}
    assert pairs <= expected
    expected_groups = duplicates.group_pairs(len(texts), [make_pairs(expected)])
    groups = duplicates.group_pairs(len(texts), [make_pairs(pairs)])
    missed = sum(groups[a] != groups[b] for a, b in expected)
    assert missed <= 0.03 * len(expected), "2 % of pairs at the threshold itself may be missed"
    assert len(set(groups.tolist())) >= len(set(expected_groups.tolist()))


def test_near_texts_equal_those_of_an_exhaustive_comparison() -> None:
    sentences = make_sentences(40)
    texts, others = sentences[::2], sentences[1::2]
    expected = {
        index
        for index, text in enumerate(texts)
        if any(compute_jaccard_similarity(text, other) >= 0.8 for other in others)
    }
    near = near_duplicates.find_near_texts(texts, others, 0.8)
    assert near <= expected
    assert len(expected - near) <= 0.03 * len(expected) + 1


def test_no_text_is_near_an_empty_list() -> None:
    texts = make_sentences(2)
    assert near_duplicates.find_near_texts([], texts, 0.8) == set()
    assert near_duplicates.find_near_texts(texts, [], 0.8) == set()


def test_equal_templates_are_found_without_comparing_all_pairs() -> None:
    orders = [f"please show me the status of my order number {n} now" for n in range(3000)]
    refunds = [f"please give the {chr(97 + n) * 9} of my {chr(97 + n) * 9} back" for n in range(26)]
    near = near_duplicates.find_near_texts([*orders, *refunds], orders, 0.8)
    assert near == set(range(3000))


def test_numbers_case_and_punctuation_are_ignored() -> None:
    texts = ["Refund order 12!", "refund ORDER 99", "退款，订单12", "退款 订单34？", "other words"]
    assert find_pairs(texts, 0.8).tolist() == [[0, 1], [2, 3]]


def test_short_and_empty_texts_are_near_duplicates_only_if_they_are_equal() -> None:
    assert find_pairs(["no", "No!", "on", "", "…", "否"], 0.8).tolist() == [[0, 1], [3, 4]]
    assert find_pairs([], 0.8).tolist() == []
