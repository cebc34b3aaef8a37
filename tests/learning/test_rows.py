from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stages import chat
from stages.errors import Refusal
from stages.learning import rows
from stages.records import Record


def test_renders_every_record_in_order(tokenizer: Any, corpus: list[Record]):
    got = rows.render(tokenizer, corpus, 1000, 0.0)
    assert got.examples == [chat.example(tokenizer, record, 1000) for record in corpus]
    assert (got.truncated, got.dropped) == (0, [])


def test_counts_an_answer_that_lost_its_end(tokenizer: Any, conversation: Callable[..., Record]):
    record = conversation("q", "a long answer")
    length = len(chat.example(tokenizer, record, 1000).input_ids)
    assert rows.render(tokenizer, [record], length, 0.0).truncated == 0
    assert rows.render(tokenizer, [record], length - 1, 0.0).truncated == 1


def test_names_the_records_whose_answer_is_cut_off(
    tokenizer: Any, conversation: Callable[..., Record]
):
    short, long = conversation("q", "a"), conversation("q" * 300, "a")
    got = rows.render(tokenizer, [short, long], 60, 0.5)
    assert len(got.examples) == 1
    assert got.dropped == [long.origin]
    with pytest.raises(Refusal, match=r"1 of 2 rows .* train\.max_length 60 \(s\.csv:qqq"):
        rows.render(tokenizer, [short, long], 60, 0.49)


def test_refuses_when_nothing_is_left(tokenizer: Any, conversation: Callable[..., Record]):
    with pytest.raises(Refusal, match="1 of 1 rows"):
        rows.render(tokenizer, [conversation("q" * 300, "a")], 60, 1.0)


def test_whole_weights_repeat(corpus: list[Record]):
    twice = [replace(record, weight=2.0) for record in corpus[:2]]
    assert rows.weighted([*twice, corpus[2]]) == [twice[0]] * 2 + [twice[1]] * 2 + [corpus[2]]


def test_a_fraction_keeps_about_that_share_and_the_same_ones(conversation: Callable[..., Record]):
    many = [replace(conversation(str(i), "a"), weight=0.25) for i in range(2000)]
    kept = rows.weighted(many)
    assert 420 < len(kept) < 580  # 4 standard deviations of a binomial (2000, 0.25)
    assert rows.weighted(reversed(many)) == kept[::-1]
    half = rows.weighted(replace(record, weight=0.5) for record in many)
    assert {record.id for record in kept} < {record.id for record in half}


def test_an_answer_to_be_avoided_is_not_learnt(tokenizer: Any, conversation: Callable[..., Record]):
    bad = replace(conversation("q", "a"), desirable=False)
    with pytest.raises(Refusal, match=r"s\.csv:q: an answer to be avoided"):
        rows.render(tokenizer, [bad], 1000, 0.0)
