"""Correction of p-values for multiple tests."""

import numpy as np
import pytest

from lockstep import multiple_testing


def test_holms_method_steps_down() -> None:
    """Holm (1979) multiplies each p by the number of remaining tests and never lets it fall."""
    assert multiple_testing.adjust_p_values([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert multiple_testing.adjust_p_values([0.9, 0.8]) == [1.0, 1.0]
    assert multiple_testing.adjust_p_values([]) == []


@pytest.mark.slow
def test_corrected_tests_have_a_false_positive_in_one_family_of_twenty_at_most() -> None:
    generator = np.random.default_rng(6)
    families = generator.random((4000, 12))
    positives = sum(
        min(multiple_testing.adjust_p_values(list(family))) < 0.05 for family in families
    )
    assert positives / 4000 == pytest.approx(0.05, abs=0.012)
