"""Answers of encoder-decoders equal those of transformers' greedy search, alone or in a batch."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.inference import generation, latency, seq2seq_generation
from lockstep.inference.seq2seq_generation import Seq2SeqGenerator
from lockstep.models import loading, seq2seq
from lockstep.models.chat import ChatTokenizer
from tests.seq2seq_models import WRITERS, make_translations


@pytest.fixture(params=WRITERS)
def case(request: pytest.FixtureRequest, seq2seq_bases: dict[str, Path]) -> tuple[Any, Any, Any]:
    """Model, tokenizer and sources of one architecture; its answers differ by source."""
    import torch

    folder = seq2seq_bases[request.param]
    tokenizer = loading.load_tokenizer(folder)
    model = loading.load_model(folder, "float32", "eager", "cpu")
    with torch.no_grad():  # cross-attention must count, or each source has the same answer
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("EncDecAttention", "encoder_attn")):
                parameter.mul_(4)
        if request.param == "marian":  # only bad_words_ids keep it from generating its padding
            model.final_logits_bias[0, tokenizer.pad_token_id] = 50.0
    sources = [seq2seq.encode_source(tokenizer, record, 512)[0] for record in make_translations()]
    return model, tokenizer, sources


def generate_alone(
    model: Any, tokenizer: ChatTokenizer, source: list[int], tokens: int
) -> list[int]:
    """Return the new tokens of plain greedy search, without the folder's beams and penalties."""
    import torch

    with torch.no_grad():
        row = model.generate(
            torch.tensor([source]), max_new_tokens=tokens, num_beams=1, do_sample=False,
            min_length=0, no_repeat_ngram_size=0,
        )[0, 1:].tolist()  # fmt: skip
    end = tokenizer.pretrained.eos_token_id
    return row[: row.index(end)] if end in row else row


def test_greedy_answers_equal_those_of_transformers(case: tuple[Any, Any, Any]):
    model, tokenizer, sources = case
    answers = seq2seq_generation.generate_answers(model, tokenizer, sources, 7, 12)
    for source, answer in zip(sources, answers, strict=True):
        ids = generate_alone(model, tokenizer, source, 12)
        assert answer.text == tokenizer.pretrained.decode(ids, skip_special_tokens=True)
    assert len({answer.text for answer in answers}) > 1
    assert answers == [
        seq2seq_generation.generate_answers(model, tokenizer, [source], 1, 12)[0]
        for source in sources
    ]


def test_an_answer_of_max_new_tokens_is_truncated(case: tuple[Any, Any, Any]):
    model, tokenizer, sources = case
    for tokens in (3, 40):
        answers = seq2seq_generation.generate_answers(model, tokenizer, sources, 7, tokens)
        for source, answer in zip(sources, answers, strict=True):
            ids = generate_alone(model, tokenizer, source, 60)
            assert answer.truncated == (len(ids) + 1 > tokens) or len(ids) + 1 == tokens


def test_samples_follow_temperature_seed_and_number(case: tuple[Any, Any, Any]):
    model, tokenizer, sources = case
    generator = Seq2SeqGenerator(model, tokenizer, 4)
    draws = [(sources[0], number) for number in range(4)]
    greedy = generator.generate(sources[:1], 8)
    assert generator.sample(draws, 1e-4, 8, 7) == greedy * 4
    samples = generator.sample(draws, 3.0, 8, 7)
    assert len({sample.text for sample in samples}) > 1
    assert generator.sample(draws[2:], 3.0, 8, 7) == samples[2:]
    assert generator.sample(draws, 3.0, 8, 8) != samples


def test_the_folder_s_configuration_is_kept(case: tuple[Any, Any, Any]):
    model, tokenizer, sources = case
    before = model.generation_config.to_dict()
    seq2seq_generation.generate_answers(model, tokenizer, sources[:1], 1, 4)
    assert model.generation_config.to_dict() == before


def test_latency_is_measured_by_decoding_steps(case: tuple[Any, Any, Any]):
    model, tokenizer, sources = case
    times = seq2seq_generation.time_tokens(model, sources[:2], tokenizer.pad_token_id, 5)
    assert len(times) == 5
    timings = latency.measure_latency(
        model, sources[:2], tokenizer.pad_token_id, 3, 4, seq2seq_generation.time_tokens
    )
    assert timings["tokens_per_second_batch_3"] > 0


def test_every_declared_end_token_ends_an_answer(case: tuple[Any, Any, Any]):
    """A generation configuration may list several end tokens."""
    model, tokenizer, sources = case
    (whole,) = seq2seq_generation.generate_answers(model, tokenizer, sources[:1], 1, 12)
    ids = generate_alone(model, tokenizer, sources[0], 12)
    new = next(token for token in ids if token not in tokenizer.pretrained.all_special_ids)
    tokenizer = ChatTokenizer(tokenizer.pretrained, [new])
    (answer,) = seq2seq_generation.generate_answers(model, tokenizer, sources[:1], 1, 12)
    assert answer == generation.GeneratedAnswer("", False)
    assert whole.text


def test_the_start_token_of_config_json_is_used_if_the_generation_configuration_has_none(
    case: tuple[Any, Any, Any],
):
    model, tokenizer, sources = case
    expected = seq2seq_generation.generate_answers(model, tokenizer, sources[:2], 2, 6)
    model.generation_config.decoder_start_token_id = None
    assert seq2seq_generation.generate_answers(model, tokenizer, sources[:2], 2, 6) == expected
