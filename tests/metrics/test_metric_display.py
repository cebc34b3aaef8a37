"""Formatting of metrics: digits, units, signs, and which of two values is better."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.metrics.metric_display import DISPLAYS, describe_metric, format_bytes, sort_metrics


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.9127, "91.3%"),
        ("rouge_l", 0.05, "0.050"),
        ("bleu", 71.23, "71.2"),
        ("perplexity", 1.624, "1.62"),
        ("perplexity", 212.44, "212.4"),
        ("perplexity", 53210.7, "53,211"),
    ],
)
def test_a_value_has_the_digits_of_its_metric(name: str, value: float, text: str) -> None:
    assert describe_metric(name).format(value) == text


def test_a_change_is_the_difference_of_the_values_as_shown() -> None:
    accuracy = describe_metric("accuracy")
    assert (accuracy.format(0.9134), accuracy.format(0.9086)) == ("91.3%", "90.9%")
    assert accuracy.format_change(0.9134, 0.9086) == "−0.4"
    assert describe_metric("perplexity").format_change(212.4, 1.62) == "−210.8"


@pytest.mark.parametrize(
    ("name", "difference", "text"),
    [
        ("accuracy", 0.0123, "+1.2 points"),
        ("accuracy", -0.0123, "−1.2 points"),
        ("accuracy", 0.0001, "0.0 points"),
        ("perplexity", -0.5, "−0.500"),
        ("bleu", 12.34, "+12.3"),
    ],
)
def test_a_difference_has_its_sign_and_unit(name: str, difference: float, text: str) -> None:
    assert describe_metric(name).format_difference(difference) == text


def test_lower_perplexity_is_better_and_equal_is_not() -> None:
    assert describe_metric("perplexity").is_better(3.0, 2.0)
    assert not describe_metric("accuracy").is_better(0.50001, 0.50002)


@given(st.sampled_from(sorted(DISPLAYS)), st.floats(0, 1), st.floats(0, 1))
def test_one_of_two_values_that_differ_as_shown_is_better(name: str, a: float, b: float) -> None:
    display = describe_metric(name)
    differ = display.compute_change(a, b) != 0
    assert display.is_better(a, b) + display.is_better(b, a) == differ


def test_the_main_metric_comes_first_and_unknown_ones_last() -> None:
    values = {"bleu": 1.0, "zeal": 1.0, "exact_match": 1.0, "rouge_l": 1.0}
    assert sort_metrics(values) == ["rouge_l", "bleu", "exact_match", "zeal"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_922_034, "1.92 MB"), (14e9, "14 GB")],
)
def test_bytes_have_three_digits_and_a_unit(number: float, text: str) -> None:
    assert format_bytes(int(number)) == text


def test_the_unit_grows_with_the_number() -> None:
    units = [format_bytes(10**power).split()[1] for power in range(13)]
    order = ["bytes", "kB", "MB", "GB", "TB"]
    assert all(order.index(a) <= order.index(b) for a, b in pairwise(units))


def test_word_metrics_name_their_tokenizer() -> None:
    names = [name for name, display in DISPLAYS.items() if display.tokenizer]
    assert names == [
        "rouge_l", "rouge_1", "rouge_2", "bleu", "chrf", "meteor", "token_f1", "length_ratio",
        "distinct_2",
    ]  # fmt: skip
