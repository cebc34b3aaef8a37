"""Batched generation equals greedy decoding of one prompt at a time."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.inference import generation
from lockstep.models import loading
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import ChatTokenizer
from lockstep.records import Record

LENGTH = 12


def generate_greedily(model: Any, prompt: list[int], stop: int | None) -> list[int]:
    """Generate greedily with one forward pass over all tokens per step, without a cache."""
    import torch

    ids = list(prompt)
    with torch.inference_mode():
        while len(ids) < len(prompt) + LENGTH:
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == stop:
                break
            ids.append(token)
    return ids[len(prompt) :]


@pytest.fixture
def prompts(tokenizer: ChatTokenizer, corpus: list[Record]) -> list[list[int]]:
    return [tokenizer.encode_prompt(record.prompt) for record in corpus[:5]]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batched_answers_equal_those_generated_one_by_one(
    loaded_model: Any, tokenizer: ChatTokenizer, prompts: list[list[int]], batch_size: int
):
    assert len({len(prompt) for prompt in prompts}) > 1
    stop = tokenizer.end_ids[0]
    ids = [generate_greedily(loaded_model, prompt, stop) for prompt in prompts]
    expected = [
        GeneratedAnswer(tokenizer.parse_answer(row).text, truncated=len(row) == LENGTH)
        for row in ids
    ]
    assert len(set(expected)) > 1
    answers = generation.generate_answers(loaded_model, tokenizer, prompts, batch_size, LENGTH)
    assert answers == expected


def test_the_generation_config_of_the_folder_is_ignored(
    tiny_model: Path, loaded_model: Any, tokenizer: ChatTokenizer, prompts: list[list[int]]
):
    model = loading.load_model(tiny_model, "float32", "eager", "cpu")
    model.generation_config.repetition_penalty = 5.0
    answers = generation.generate_answers(model, tokenizer, prompts, 8, LENGTH)
    assert answers == generation.generate_answers(loaded_model, tokenizer, prompts, 8, LENGTH)


def test_an_answer_stops_at_any_end_token_of_the_generation_config(
    loaded_model: Any, tokenizer: ChatTokenizer, prompts: list[list[int]]
):
    """generation_config.json declares a second end token, which this model generates."""
    unstopped = [generate_greedily(loaded_model, prompt, None) for prompt in prompts]
    stop = unstopped[0][4]
    tokenizer = ChatTokenizer(tokenizer.pretrained, [stop])
    assert tokenizer.end_ids == (tokenizer.pretrained.eos_token_id, stop)
    stopped = [ids[: ids.index(stop)] if stop in ids else ids for ids in unstopped]
    assert len(stopped[0]) < LENGTH
    answers = generation.generate_answers(loaded_model, tokenizer, prompts, 8, LENGTH)
    assert answers == [
        GeneratedAnswer(tokenizer.parse_answer(ids).text, truncated=len(ids) == LENGTH)
        for ids in stopped
    ]
    assert not answers[0].truncated


def test_an_answer_that_ends_within_a_character_is_valid_text(tokenizer: ChatTokenizer):
    """A byte-level tokenizer encodes a rare character as several bytes."""
    *incomplete, last = tokenizer.encode_text("好鑫")
    assert len(incomplete) > 1
    assert tokenizer.parse_answer(incomplete) == GeneratedAnswer("好\ufffd", truncated=True)
    ids = [*incomplete, last, tokenizer.end_ids[0], last]
    assert tokenizer.parse_answer(ids) == GeneratedAnswer("好鑫", truncated=False)


def test_no_prompts_give_no_answers(loaded_model: Any, tokenizer: ChatTokenizer):
    assert generation.generate_answers(loaded_model, tokenizer, [], 8, LENGTH) == []


@pytest.mark.slow
def test_a_sample_depends_only_on_its_prompt_and_seed(
    loaded_model: Any, tokenizer: ChatTokenizer, corpus: list[Record]
):
    prompt, other = (tokenizer.encode_prompt(record.prompt) for record in corpus[:2])

    def draw(
        *prompts: tuple[list[int], int], seed: int = 7, temperature: float = 1.0
    ) -> list[GeneratedAnswer]:
        return generation.sample_answers(loaded_model, tokenizer, prompts, temperature, 12, seed)

    first, second, again = draw((prompt, 0), (other, 0), (prompt, 1))
    assert first != again, "another draw number gives another sample"
    assert [again, first] == draw((prompt, 1), (prompt, 0))
    assert [second] == draw((other, 0))
    assert [first] != draw((prompt, 0), seed=8)
    cold = draw((prompt, 0), (prompt, 1), temperature=1e-4)
    assert cold[0] == cold[1], "a low temperature leaves hardly any randomness"
