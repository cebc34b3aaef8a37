"""Predictor: which records a suite uses, which head it needs, and how lengths are named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockstep.models.heads import Head
from lockstep.predicting.predictor import (
    choose_head,
    format_length_range,
    number_repeats,
    select_records,
)
from lockstep.records import Record
from lockstep.suites import Suite


@pytest.mark.parametrize(
    ("tokens", "name"),
    [(1, "1-16"), (16, "1-16"), (17, "17-64"), (64, "17-64"), (65, "65-256"), (257, "257-1024")],
)
def test_a_length_lies_between_powers_of_four(tokens: int, name: str):
    assert format_length_range(tokens) == name


def test_a_base_without_a_head_gets_the_one_that_its_suites_need():
    labels = {"intent": ["track", "cancel"], "tags": ["new", "track"]}
    intent, tags = Suite(task="intent", answer="label"), Suite(task="tags", answer="labels")
    assert choose_head([Suite(task="intent", answer="choice")], labels) is None
    assert choose_head([Suite(task="price", answer="number")], {}) == Head("regression", [])
    single, multi = "single_label_classification", "multi_label_classification"
    assert choose_head([intent], labels) == Head(single, ["cancel", "track"])
    assert choose_head([intent, tags], labels) == Head(multi, ["cancel", "new", "track"])


def test_a_suite_skips_records_with_an_undesirable_answer(make_record: Callable[..., Record]):
    desirable, unlabelled = make_record("a", "b", "reply"), make_record("c", "d", "reply")
    undesirable = replace(desirable, desirable=False)
    desirable = replace(desirable, desirable=True)
    other = make_record("e", "f", "slots")
    suite = Suite(task="reply", answer="text")
    assert select_records(suite, [undesirable, desirable, other, unlabelled]) == [
        desirable,
        unlabelled,
    ]


def test_equal_records_are_numbered_so_that_their_samples_differ(
    make_record: Callable[..., Record],
):
    first, second = make_record("a", "b"), make_record("c", "d")
    assert number_repeats([first, second, first, first]) == [
        (first, 0), (second, 0), (first, 1), (first, 2),
    ]  # fmt: skip
