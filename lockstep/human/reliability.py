"""How far raters agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import permutations


def alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Krippendorff's alpha of ordinal values: 1 is agreement, 0 what chance would give.

    A unit is the values that raters gave to one thing, in any order; those with fewer than two
    count nothing. None where no two values can differ: no unit has two, or all values are one.

    K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, sections C to E.
    """
    shared = [unit for unit in units if len(unit) > 1]
    totals = Counter(value for unit in shared for value in unit)
    coincidences: dict[tuple[int, int], float] = defaultdict(float)
    for unit in shared:
        for pair in permutations(unit, 2):
            coincidences[pair] += 1 / (len(unit) - 1)
    values = sorted(totals)

    def difference(one: int, other: int) -> float:
        """The ordinal metric: values given from one to the other, the ends by half, squared."""
        low, high = sorted((one, other))
        between = sum(totals[value] for value in values if low <= value <= high)
        return (between - (totals[one] + totals[other]) / 2) ** 2

    observed = sum(count * difference(*pair) for pair, count in coincidences.items())
    reference = sum(totals[a] * totals[b] * difference(a, b) for a in values for b in values)
    return 1 - (totals.total() - 1) * observed / reference if reference else None
