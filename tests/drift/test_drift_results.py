"""Error rates and power by simulation, and the decision."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.drift import Pool, Shift, select, simulate
from lockstep.drift import drift_results
from lockstep.drift.compared_texts import ComparedText
from lockstep.drift.drift_results import LabelSamples
from lockstep.serving.drift_params import DriftParams

TOPICS = 8
SIZES = (400, 120)


def write_word(rng: random.Random, first: int, number: int) -> str:
    """Return a word of letters of a block of Unicode."""
    return "".join(chr(first + rng.randrange(number)) for _ in range(3))


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Korean and Greek texts: their scripts tell their language, which saves time."""
    rng = random.Random(5)
    common = [write_word(rng, 0xAC00, 900) for _ in range(150)]
    topics = [[write_word(rng, 0xB000, 900) for _ in range(25)] for _ in range(TOPICS)]
    greek = [write_word(rng, 0x3B1, 17) for _ in range(150)]
    items = []
    for number in range(1600):
        topic = number % TOPICS
        size = rng.randint(2, 8)
        words = rng.choices(greek if topic == 0 else common, k=size) + rng.choices(
            topics[topic], k=0 if topic == 0 else 3
        )
        items.append(ComparedText(text=" ".join(words), system="", answer=f"label {topic}"))
    return Pool.build(items, np.random.default_rng(0))


def test_without_drift_at_most_5_percent_of_comparisons_have_a_significant_test(
    pool: Pool,
) -> None:
    results = [simulate(pool, Shift(), 0, SIZES, seed) for seed in range(120)]
    significant = [any(test.p_adjusted < 0.05 for test in result.tests) for result in results]
    assert 0 < np.mean(significant) <= 0.05
    assert {len(result.tests) for result in results} == {7}
    effects = [test.effect for result in results for test in result.tests]
    assert np.mean(effects) < 0.02, "chance alone has no effect on average"


SHIFTS: dict[str, tuple[Shift, float, str]] = {
    "longer": (Shift(version=lambda pool: pool.longer), 0.5, "length"),
    "language": (
        Shift(
            is_usual=lambda pool: pool.features.scripts != "el",
            is_shifted=lambda pool: pool.features.scripts == "el",
        ),
        0.2,
        "language",
    ),
    "topic": (
        Shift(
            is_usual=lambda pool: pool.labels != "label 3",
            is_shifted=lambda pool: pool.labels == "label 3",
        ),
        0.3,
        "unseen words",
    ),
    "n-grams": (
        Shift(
            is_usual=lambda pool: pool.labels != "label 3",
            is_shifted=lambda pool: pool.labels == "label 3",
        ),
        0.5,
        "n-grams",
    ),
    "words": (Shift(version=lambda pool: pool.invented), 0.3, "unseen words"),
    "labels": (Shift(is_shifted=lambda pool: pool.labels == "label 5"), 0.3, "labels"),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_shifts_of_a_share_of_120_requests_are_found(pool: Pool, name: str) -> None:
    shift, share, feature = SHIFTS[name]
    results = [simulate(pool, shift, share, SIZES, seed) for seed in range(10)]
    alarms = [test.is_alarm for result in results for test in result.tests if test.name == feature]
    assert sum(alarms) >= 9


def compare(pool: Pool, requests: Any, settings: DriftParams) -> Any:
    labels = LabelSamples(reference=np.array([]), requests=np.array([]), indices=[])
    return drift_results.measure_drift(pool.features, requests, labels, settings, 0, 999)


def test_a_significant_difference_below_the_minimum_effect_is_no_alarm(pool: Pool) -> None:
    requests = replace(
        pool.features, systems=np.where(np.arange(1600) % 20 == 0, "new prompt", "").astype(np.str_)
    )
    by_default = compare(pool, requests, DriftParams())
    changed = next(test for test in by_default.tests if test.name == "system prompt")
    assert changed.p_adjusted < 0.05
    assert changed.effect == pytest.approx(0.05, abs=0.01)
    assert by_default.verdict == "no drift"
    assert compare(pool, requests, DriftParams(minimum_effect=0.03)).verdict == "drift"
    assert "labels" not in {test.name for test in by_default.tests}


def test_too_few_texts_are_not_tested(pool: Pool) -> None:
    results = compare(pool, pool.longer, DriftParams(minimum_texts=1601))
    assert (results.verdict, results.tests, results.is_alarm) == ("too few texts", [], False)
    few = replace(pool, features=select(pool.features, np.arange(30)))
    assert compare(few, pool.features, DriftParams()).verdict == "too few texts"


def test_labels_are_answers_of_allowed_labels() -> None:
    def answer(text: str) -> ComparedText:
        return ComparedText(text="?", system="", answer=text)

    labels = drift_results.collect_labels(
        ["a", "free text", "b"],
        [answer("So sorry."), answer(" a\n"), answer('["b", "a"]'), answer("")],
        {"a", "b"},
    )
    assert labels.reference.tolist() == ["a", "b"]
    assert labels.requests.tolist() == ["a", "a, b"]
    assert labels.indices == [1, 2]
