"""Sequential tests, whose results stay valid however often one looks and whenever one stops."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from lockstep.multiple_testing import LEVEL
from lockstep.statistics.confidence_intervals import Interval

SPREAD_OF_SHARES = 100.0
"""Concentration of the Dirichlet prior in the test of the sample ratio, in users."""


@dataclass(frozen=True, slots=True)
class MixtureTest:
    """Mixture sequential probability ratio test of a difference that is nearly normal.

    The alternative is a normal distribution of differences around zero, with a precision that must
    be fixed before the first look. The method is Robbins' (1970), used for A/B tests by Johari,
    Koomen, Pekelis and Walsh (2022). For means it holds asymptotically, as the confidence sequences
    of Waudby-Smith et al. (2024): the variance is estimated, so the first looks need some users.
    """

    precision: float
    """Precision of the differences under the alternative, 1 / variance."""

    def compute_p(self, difference: float, standard_error: float) -> float:
        """Return the p-value of no difference: one over the ratio of the likelihoods."""
        information = standard_error**-2
        total = information + self.precision
        log_ratio = 0.5 * (
            math.log(self.precision / total) + (difference * information) ** 2 / total
        )
        return math.exp(-max(0.0, log_ratio))

    def compute_margin(self, standard_error: float, level: float = LEVEL) -> float:
        """Return half the width of the interval, which covers the truth at all looks together.

        The probability that any of them misses it is at most `level`.
        """
        information = standard_error**-2
        total = information + self.precision
        return math.sqrt(total * math.log(total / (self.precision * level**2))) / information

    def compute_interval(self, difference: float, standard_error: float, level: float) -> Interval:
        """Return the interval of the difference at all looks together."""
        margin = self.compute_margin(standard_error, level)
        return Interval(difference - margin, difference + margin)

    def compute_power(self, effect: float, standard_error: float, level: float = LEVEL) -> float:
        """Return the probability that the test finds an effect at a look with this standard error.

        Earlier looks may find it too, so the power of the whole test is larger.
        """
        margin = self.compute_margin(standard_error, level)
        return float(scipy.stats.norm.cdf((effect - margin) / standard_error))


def build_test(information: float) -> MixtureTest:
    """Return the test whose interval is narrowest at this information, 1 / standard error².

    The choice of the precision is that of Waudby-Smith et al. (2024, equation 9).
    """
    log_level = -2 * math.log(LEVEL)
    return MixtureTest(information / (log_level + math.log(1 + log_level)))


def compute_sample_ratio_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the p-value of counts of users that were assigned by these shares, at every look.

    It is one over the Bayes factor of shares with a Dirichlet distribution around the planned ones
    against the planned ones (Lindon and Malek, 2022).
    """
    users: NDArray[np.float64] = np.asarray(counts, dtype=float)
    expected: NDArray[np.float64] = np.asarray(shares, dtype=float)
    prior = SPREAD_OF_SHARES * expected
    log_gamma = scipy.special.gammaln
    log_alternative = (
        log_gamma(SPREAD_OF_SHARES)
        - log_gamma(SPREAD_OF_SHARES + users.sum())
        + (log_gamma(prior + users) - log_gamma(prior)).sum()
    )
    log_planned = (users * np.log(expected)).sum()
    return math.exp(-max(0.0, float(log_alternative - log_planned)))
