"""Topics are clusters of words, and are compared where answers are no labels."""

import random

import numpy as np

from lockstep.drift import topics

WORDS = [[f"topic{number}word{index}" for index in range(12)] for number in range(6)]


def write_texts(number: int, shares: list[float], seed: int) -> list[frozenset[str]]:
    """Return the words of texts, each about one of the topics, with words that all texts have."""
    rng = random.Random(seed)
    chosen = rng.choices(WORDS, shares, k=number)
    return [frozenset(["the", "of", *rng.sample(words, 4)]) for words in chosen]


def count_share(values: np.ndarray, number: int) -> float:
    return float(np.mean([f"topic{number}word" in value for value in values]))


def test_a_topic_is_named_by_its_words_and_new_words_have_none() -> None:
    reference = write_texts(800, [1] * 6, seed=1)
    requests = [*write_texts(100, [5, 1, 1, 1, 1, 1], seed=2), frozenset(["unheard"])]
    assigned = topics.assign_topics(reference, requests, 0)
    assert assigned
    before, after = assigned
    assert (len(before), len(after)) == (400, 101)
    assert after[-1] == topics.NO_TOPIC
    assert abs(count_share(before, 0) - 1 / 6) < 0.08
    assert abs(count_share(after, 0) - 1 / 2) < 0.12
    for name in {*before} - {topics.NO_TOPIC}:
        assert len({word[:6] for word in str(name).split(", ")}) == 1


def test_too_few_words_that_repeat_give_no_topics() -> None:
    different = [frozenset([f"word{number}"]) for number in range(200)]
    assert topics.assign_topics(different, different, 0) is None
    few = [frozenset([f"word{number % 10}"]) for number in range(200)]
    assert topics.assign_topics(few, few, 0) is None
