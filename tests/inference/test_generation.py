from pathlib import Path
from typing import Any

import pytest

from lockstep.inference import generation
from lockstep.inference.generation import Written
from lockstep.models import chat, model_io
from lockstep.records import Record

LENGTH = 12


def greedy(model: Any, prompt: list[int], stop: int | None) -> list[int]:
    """The likeliest token, again and again, by whole forward passes."""
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
def prompts(tokenizer: Any, corpus: list[Record]) -> list[list[int]]:
    return [chat.prompt_ids(tokenizer, record.prompt) for record in corpus[:5]]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batched_answers_are_those_written_one_by_one(
    loaded: Any, tokenizer: Any, prompts: list[list[int]], batch_size: int
):
    assert len({len(prompt) for prompt in prompts}) > 1
    stop = tokenizer.eos_token_id
    ids = [greedy(loaded, prompt, stop) for prompt in prompts]
    want = [Written(chat.decode(tokenizer, one), truncated=len(one) == LENGTH) for one in ids]
    assert len(set(want)) > 1
    assert generation.answers(loaded, tokenizer, prompts, batch_size, LENGTH) == want


def test_greedy_answers_are_not_steered_by_the_folder(
    tiny: Path, loaded: Any, tokenizer: Any, prompts: list[list[int]]
):
    steered = model_io.load(tiny, "float32", "eager", "cpu")
    steered.generation_config.repetition_penalty = 5.0
    got = generation.answers(steered, tokenizer, prompts, 8, LENGTH)
    assert got == generation.answers(loaded, tokenizer, prompts, 8, LENGTH)


def test_an_answer_stops_at_the_end_of_turn(loaded: Any, tokenizer: Any, prompts: list[list[int]]):
    """A token that this model does write is made the end of turn."""
    free = [greedy(loaded, prompt, None) for prompt in prompts]
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(free[0][4])
    stop = tokenizer.eos_token_id
    assert stop == free[0][4]
    ended = [ids[: ids.index(stop)] if stop in ids else ids for ids in free]
    assert len(ended[0]) < LENGTH
    got = generation.answers(loaded, tokenizer, prompts, 8, LENGTH)
    assert got == [
        Written(chat.decode(tokenizer, ids), truncated=len(ids) == LENGTH) for ids in ended
    ]
    assert not got[0].truncated


def test_an_answer_that_ends_within_a_character_is_text_that_can_be_written(tokenizer: Any):
    """A byte-level tokenizer spells a rare character by its bytes."""
    *begun, last = chat.encode(tokenizer, "好鑫")
    assert len(begun) > 1
    assert generation.read(tokenizer, begun) == Written("好\ufffd", truncated=True)
    whole = [*begun, last, tokenizer.eos_token_id, last]
    assert generation.read(tokenizer, whole) == Written("好鑫", truncated=False)


def test_no_prompts_no_answers(loaded: Any, tokenizer: Any):
    assert generation.answers(loaded, tokenizer, [], 8, LENGTH) == []
