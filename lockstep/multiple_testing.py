"""Significance level of all tests, and the correction of p-values for multiple tests."""

from collections.abc import Sequence

LEVEL = 0.05
"""Significance level: a difference with a smaller p-value is significant."""


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests by Holm's method (1979).

    The probability that chance alone brings any of them below a level is at most that level.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
