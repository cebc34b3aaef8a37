"""The answers that a review shows: both directions, all suites, the largest changes first."""

from lockstep.review.flipped_answers import Flip, choose_flips


def make_flips(suite: str, *changes: float) -> list[Flip]:
    return [
        Flip(id=f"{suite}{n}", suite=suite, base_score=0.5 - c / 2, this_score=0.5 + c / 2)
        for n, c in enumerate(changes)
    ]


def list_ids(flips: dict[str, list[Flip]]) -> list[str]:
    return [flip.id for flip in choose_flips(flips, number=4)]


def test_half_of_the_answers_got_worse_and_half_better() -> None:
    flips = make_flips("a", -1, 1, -1, 1, -1, 1)
    assert list_ids({"a": flips}) == ["a0", "a2", "a1", "a3"]


def test_a_direction_with_few_answers_leaves_its_places_to_the_other() -> None:
    assert list_ids({"a": make_flips("a", 1, 1, 1, -1, 1)}) == ["a3", "a0", "a1", "a2"]
    assert list_ids({"a": make_flips("a", -1, -1, 1, -1, -1)}) == ["a0", "a1", "a3", "a2"]
    assert list_ids({"a": make_flips("a", 1)}) == ["a0"]


def test_suites_take_turns_and_larger_changes_come_first() -> None:
    flips = {"a": make_flips("a", -0.2, -0.9, -0.5), "b": make_flips("b", -0.3)}
    assert list_ids(flips) == ["a1", "b0", "a2", "a0"]
