"""Users are assigned to the variants of a test in the planned share, and always alike."""

import pytest

from lockstep.serving.abtest_routing import assign_variant


def test_users_are_assigned_alike_everywhere_and_in_the_planned_share() -> None:
    names = [f"user{number}" for number in range(20_000)]
    variants = [assign_variant(name, "winter", 0.3) for name in names]
    assert variants == [assign_variant(name, "winter", 0.3) for name in names]
    assert variants.count("b") / len(names) == pytest.approx(0.3, abs=0.01)
    moved = [assign_variant(name, "spring", 0.3) for name in names]
    both = sum(pair == ("b", "b") for pair in zip(variants, moved, strict=True))
    assert both / len(names) == pytest.approx(0.09, abs=0.01)  # independent of the other test
