"""Variants of encoder-decoders: answers, likelihoods, context, and what they cannot do."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.inference import seq2seq_generation, seq2seq_likelihood
from lockstep.models import seq2seq
from lockstep.models.heads import Head
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.seq2seq_variant import Seq2SeqVariant, open_variant
from lockstep.predicting.variant_model import VariantModel
from lockstep.suites import Suite
from tests.seq2seq_models import make_translations

TEXT = Suite(task="translation", answer="text")
CHOICE = Suite(task="translation", answer="choice")
LABELS = ["rot", "alt", "das Haus ist alt"]


@pytest.fixture
def make_variant(seq2seq_bases: dict[str, Path]) -> Callable[..., VariantModel]:
    """Return the variant of an architecture under the section `predict` with changes."""

    def make(name: str = "t5", head: Head | None = None, **changes: Any) -> VariantModel:
        values = {"suites": [], "max_new_tokens": 8, "batch_size": 4, **changes}
        settings = PredictParams.model_validate(values)
        return open_variant(seq2seq_bases[name], "eager", settings, head)

    return make


def test_answers_choices_and_losses_are_those_of_the_model(
    make_variant: Callable[..., VariantModel],
):
    variant, rows = make_variant(), make_translations()[:5]
    model, tokenizer = variant.model, variant.tokenizer
    pairs = [seq2seq.encode_pair(tokenizer, row, 512) for row in rows]
    sources = [pair.source for pair in pairs]
    assert [variant.encode_prompt(row) for row in rows] == sources
    expected = seq2seq_generation.generate_answers(model, tokenizer, sources, 4, 8)
    assert [answer.text for answer in variant.answer(TEXT, rows, [])] == [e.text for e in expected]
    choices = [seq2seq.encode_target(tokenizer, label) for label in LABELS]
    scores = seq2seq_likelihood.score_choices(model, sources, choices, 4)
    for answer, row in zip(variant.answer(CHOICE, rows, LABELS), scores, strict=True):
        assert list(answer.option_scores.values()) == pytest.approx(row)
        assert answer.text == LABELS[row.index(max(row))]
    losses = seq2seq_likelihood.compute_answer_losses(model, pairs, 4)
    assert variant.compute_reference_losses(rows) == losses
    assert variant.sample([(rows[0], 0)], 7) == variant.sample([(rows[0], 0)], 7)
    assert variant.measure_latency(rows)["token_ms_p50"] > 0


def test_the_more_likely_answer_is_preferred(make_variant: Callable[..., VariantModel]):
    variant, (record, *_) = make_variant(), make_translations()
    (answer,) = variant.answer(
        Suite(task="translation", answer="preference"), [replace(record, rejected="alt")], []
    )
    losses = variant.compute_reference_losses([record, record.with_answer("alt")])
    assert list(answer.option_scores.values()) == pytest.approx([-loss for loss, _ in losses])


def test_prompt_and_answer_have_a_context_each(make_variant: Callable[..., VariantModel]):
    assert make_variant("t5").context == make_variant("longt5").context == math.inf
    variant, rows = make_variant("bart", max_new_tokens=64), make_translations()
    assert variant.context == 64
    variant.check_context(TEXT, rows, [])
    assert len(variant.encode_prompt(rows[0])) + 64 > 64
    with pytest.raises(UserError, match=r"^s\.csv:1: a prompt of \d+ tokens or an answer of 65 "):
        make_variant("bart", max_new_tokens=65).check_context(TEXT, rows, [])
    long_row = replace(
        rows[0], messages=[{"role": "user", "content": "the" * 70}, rows[0].messages[-1]]
    )
    assert not variant.fits_context(TEXT, long_row, [])
    ((_, tokens),) = variant.compute_reference_losses([long_row.with_answer("das" * 70)])
    assert tokens == 64


def test_what_needs_a_causal_model_is_refused(make_variant: Callable[..., VariantModel]):
    with pytest.raises(UserError, match=r"^params\.yaml: predict\.backend: vllm .* transformers$"):
        make_variant(backend="vllm")
    variant = make_variant(lm_eval={"records": 3})
    variant.check_context(TEXT, make_translations(), [])
    with pytest.raises(
        UserError, match=r"^params\.yaml: predict\.lm_eval\.records: .* set it to 0$"
    ):
        variant.check_context(CHOICE, make_translations(), LABELS)


def test_a_head_and_a_causal_model_have_the_plain_variant(
    make_variant: Callable[..., VariantModel], tiny_model: Path
):
    assert isinstance(make_variant(), Seq2SeqVariant)
    variant = make_variant(head=Head("single_label_classification", LABELS))
    assert type(variant) is VariantModel
    answers = variant.answer(Suite(task="translation", answer="label"), make_translations(), LABELS)
    assert {len(answer.option_scores) for answer in answers} == {3}
    causal = open_variant(tiny_model, "eager", variant.settings, None)
    assert type(causal) is VariantModel
