"""Statistics of each test, by values that were published or worked out by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from lockstep.drift import drift_tests


def test_tea_tasting_by_categories() -> None:
    """Fisher's lady (The Design of Experiments, 1935): two-sided p = 34 / 70."""
    milk, tea = np.array(["m", "m", "m", "t"]), np.array(["m", "t", "t", "t"])
    test = drift_tests.compare_categories("cups", milk, tea, seed=1)
    assert test.p == pytest.approx(34 / 70, abs=0.02)
    assert test.effect == pytest.approx(
        (0.5**2 - 0.282**2) ** 0.5, abs=1e-3
    )  # √(2/π 1/4 (1/4 + 1/4))
    assert test.shares == [("t", 0.25, 0.75), ("m", 0.75, 0.25)]
    assert test.typicality.tolist() == [-0.5, 0.5, 0.5, 0.5]


def test_a_category_that_training_lacks_is_found_among_few_requests() -> None:
    reference = np.array(["en"] * 5000)
    test = drift_tests.compare_categories("x", reference, np.array(["en"] * 95 + ["es"] * 5), 1)
    assert test.p == pytest.approx(1e-4)
    assert test.effect == pytest.approx(0.05, abs=0.003)


def test_one_category_on_both_sides_is_no_difference() -> None:
    test = drift_tests.compare_categories("x", np.array(["en"] * 9), np.array(["en"] * 5), 1)
    assert (test.p, test.effect, test.shares) == (1.0, 0.0, [("en", 1.0, 1.0)])


def test_rare_categories_are_pooled() -> None:
    reference = np.array([f"record {number}" for number in range(400)] + ["a"] * 100)
    requests = np.array([f"request {number}" for number in range(80)] + ["a"] * 20)
    test = drift_tests.compare_categories("x", reference, requests, 1)
    assert len(test.shares) == drift_tests.MAX_CATEGORIES + 1
    assert test.p > 0.05


def test_numbers_by_kolmogorov_and_smirnov() -> None:
    before, after = np.arange(1, 101), np.arange(51, 151)
    test = drift_tests.compare_numbers("length", before, after, "{:.0f}".format)
    assert test.effect == pytest.approx(
        (0.5**2 - 0.123**2) ** 0.5, abs=1e-3
    )  # 0.8687 √(1/100 + 1/100)
    assert test.p < 1e-6
    assert test.shares[0] == ("up to 25", 0.25, 0.0)
    assert test.shares[-1] == ("over 95", 0.05, 0.55)
    assert np.argmax(test.typicality) == 99
    shorter = drift_tests.compare_numbers("length", after, before, "{:.0f}".format)
    assert np.argmax(shorter.typicality) == 0
    one_sided = drift_tests.compare_numbers("score", after, before, "{:.0f}".format, "higher")
    assert one_sided.p > 0.9


def test_ngrams_tell_a_share_of_the_requests() -> None:
    """Half of the requests have an n-gram that no training record has."""
    rng = np.random.default_rng(2)
    before, after = rng.random((400, 6)), rng.random((200, 6))
    before[:, 5], after[:, 5] = 0, 4 * (np.arange(200) % 2)
    test = drift_tests.compare_ngrams("n-grams", csr_matrix(before), csr_matrix(after), 0)
    assert test.texts == (200, 100)
    assert test.effect == pytest.approx(0.5, abs=0.1)
    assert test.p < 1e-6
    assert np.isnan(test.typicality[:100]).all()
    assert np.nanargmax(test.typicality) % 2 == 1


def test_words_of_a_training_record_are_compared_with_the_others() -> None:
    reference = [frozenset("ab"), frozenset("ac"), frozenset()]
    before, after, unseen = drift_tests.compute_new_words(
        reference, [frozenset("axyz"), frozenset("c")]
    )
    assert before.tolist() == [0.5, 0.5, 0.0]
    assert after.tolist() == [0.75, 0.0]
    assert unseen == {"x": 1, "y": 1, "z": 1}
