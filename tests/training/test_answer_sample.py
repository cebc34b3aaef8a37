"""The validation records that the model answers at each evaluation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lockstep.records import Record
from lockstep.training.answer_sample import draw_sample
from lockstep.training.training_plan import Params


def test_the_records_are_sampled_evenly(
    tokenizer: Any, corpus: list[Record], make_params: Callable[..., Params]
):
    params = make_params(evaluation_answers=3, evaluation_tokens=9, batch_size=2).train
    sample = draw_sample(tokenizer, corpus, params)
    assert sample is not None
    assert sample.references == [corpus[index].answer for index in (0, 4, 8)]
    assert sample.prompts[0] == tokenizer.encode_prompt(corpus[0].prompt)
    assert (sample.batch_size, sample.max_new_tokens) == (2, 9)


def test_undesirable_answers_are_not_references(
    tokenizer: Any, corpus: list[Record], make_params: Callable[..., Params]
):
    records = [replace(r, desirable=index % 2 > 0) for index, r in enumerate(corpus)]
    sample = draw_sample(tokenizer, records, make_params(evaluation_answers=99).train)
    assert sample is not None
    assert sample.references == [record.answer for record in corpus[1::2]]


def test_without_answers_there_is_no_sample(
    tokenizer: Any, corpus: list[Record], make_params: Callable[..., Params]
):
    assert draw_sample(tokenizer, corpus, make_params(evaluation_answers=0).train) is None
