"""Likelihoods of encoder-decoders equal those that the models compute themselves."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.inference import seq2seq_likelihood
from lockstep.models import loading, seq2seq
from lockstep.models.seq2seq import Pair
from tests.seq2seq_models import WRITERS, make_translations


def compute_model_loss(model: Any, pair: Pair) -> float:
    """Return the sum of the losses of the target's tokens, by the model's own loss."""
    import torch

    source, labels = torch.tensor([pair.source]), torch.tensor([pair.target])
    with torch.no_grad():
        return float(model(input_ids=source, labels=labels).loss) * len(pair.target)


@pytest.mark.parametrize("name", WRITERS)
def test_losses_of_a_batch_are_those_of_the_model_alone(name: str, seq2seq_bases: dict[str, Path]):
    tokenizer = loading.load_tokenizer(seq2seq_bases[name])
    model = loading.load_model(seq2seq_bases[name], "float32", "eager", "cpu")
    pairs = [seq2seq.encode_pair(tokenizer, record, 512) for record in make_translations()]
    losses = seq2seq_likelihood.compute_answer_losses(model, pairs, 7)
    for pair, (loss, tokens) in zip(pairs, losses, strict=True):
        assert tokens == len(pair.target)
        assert loss == pytest.approx(compute_model_loss(model, pair), rel=1e-4)


@pytest.mark.parametrize("name", WRITERS)
def test_a_choice_has_the_likelihood_of_its_tokens(name: str, seq2seq_bases: dict[str, Path]):
    tokenizer = loading.load_tokenizer(seq2seq_bases[name])
    model = loading.load_model(seq2seq_bases[name], "float32", "eager", "cpu")
    pairs = [seq2seq.encode_pair(tokenizer, record, 512) for record in make_translations()]
    sources = [pair.source for pair in pairs[::3]]
    choices = [seq2seq.encode_target(tokenizer, text) for text in ("rot", "alt", "das Haus ist")]
    scores = seq2seq_likelihood.score_choices(model, sources, choices, 3)
    for source, row in zip(sources, scores, strict=True):
        expected = [-compute_model_loss(model, Pair(source, choice, False)) for choice in choices]
        assert row == pytest.approx(expected, rel=1e-4)


def test_a_model_that_does_not_shift_labels_itself_gets_its_start_token():
    """M2M100, the architecture of NLLB, has no method for it."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, init_std=0.3,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config).eval()
    pairs = [Pair([5, 6, 7, 2], [9, 8, 2], False), Pair([5, 2], [4, 9, 8, 7, 2], False)]
    assert not hasattr(model, "prepare_decoder_input_ids_from_labels")
    for pair, (loss, _) in zip(
        pairs, seq2seq_likelihood.compute_answer_losses(model, pairs, 2), strict=True
    ):
        assert loss == pytest.approx(compute_model_loss(model, pair), rel=1e-4)
