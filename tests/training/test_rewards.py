"""GRPO's rewards on literal answers."""

from lockstep.training.rewards import FUNCTIONS


def test_exact_match_ignores_surrounding_white_space() -> None:
    answers, references = [" refund\n", "refund", "Refund"], ["refund", "track", "refund"]
    assert FUNCTIONS["exact_match"](answers, reference=references) == [1.0, 0.0, 0.0]


def test_json_accepts_any_json_value() -> None:
    answers = ['{"order": "1"}', "[1]", "{order: 1}", "", "[" * 100_000]
    assert FUNCTIONS["json"](answers) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_length_falls_from_the_length_of_the_reference_to_twice_that() -> None:
    answers = ["", "a" * 8, "a" * 12, "a" * 16, "a" * 99]
    assert FUNCTIONS["length"](answers, reference=["b" * 8] * 5) == [1.0, 1.0, 0.5, 0.0, 0.0]
