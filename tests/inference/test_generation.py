from pathlib import Path
from typing import Any

import pytest

from lockstep.inference import generation
from lockstep.inference.generation import GeneratedAnswer
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
    return [chat.encode_prompt(tokenizer, record.prompt) for record in corpus[:5]]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batched_answers_are_those_written_one_by_one(
    loaded: Any, tokenizer: Any, prompts: list[list[int]], batch_size: int
):
    assert len({len(prompt) for prompt in prompts}) > 1
    stop = tokenizer.eos_token_id
    ids = [greedy(loaded, prompt, stop) for prompt in prompts]
    want = [
        GeneratedAnswer(chat.decode_answer(tokenizer, one), truncated=len(one) == LENGTH)
        for one in ids
    ]
    assert len(set(want)) > 1
    assert generation.generate_answers(loaded, tokenizer, prompts, batch_size, LENGTH) == want


def test_greedy_answers_are_not_steered_by_the_folder(
    tiny: Path, loaded: Any, tokenizer: Any, prompts: list[list[int]]
):
    steered = model_io.load_model(tiny, "float32", "eager", "cpu")
    steered.generation_config.repetition_penalty = 5.0
    got = generation.generate_answers(steered, tokenizer, prompts, 8, LENGTH)
    assert got == generation.generate_answers(loaded, tokenizer, prompts, 8, LENGTH)


def test_an_answer_stops_at_the_end_of_turn(loaded: Any, tokenizer: Any, prompts: list[list[int]]):
    """A token that this model does write is made the end of turn."""
    free = [greedy(loaded, prompt, None) for prompt in prompts]
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(free[0][4])
    stop = tokenizer.eos_token_id
    assert stop == free[0][4]
    ended = [ids[: ids.index(stop)] if stop in ids else ids for ids in free]
    assert len(ended[0]) < LENGTH
    got = generation.generate_answers(loaded, tokenizer, prompts, 8, LENGTH)
    assert got == [
        GeneratedAnswer(chat.decode_answer(tokenizer, ids), truncated=len(ids) == LENGTH)
        for ids in ended
    ]
    assert not got[0].truncated


def test_an_answer_that_ends_within_a_character_is_text_that_can_be_written(tokenizer: Any):
    """A byte-level tokenizer spells a rare character by its bytes."""
    *begun, last = chat.encode_text(tokenizer, "好鑫")
    assert len(begun) > 1
    assert generation.decode_generated(tokenizer, begun) == GeneratedAnswer(
        "好\ufffd", truncated=True
    )
    whole = [*begun, last, tokenizer.eos_token_id, last]
    assert generation.decode_generated(tokenizer, whole) == GeneratedAnswer("好鑫", truncated=False)


def test_no_prompts_no_answers(loaded: Any, tokenizer: Any):
    assert generation.generate_answers(loaded, tokenizer, [], 8, LENGTH) == []


@pytest.mark.slow
def test_a_draw_is_of_its_prompt_and_seed_whatever_stands_beside_it(
    loaded: Any, tokenizer: Any, corpus: list[Record]
):
    one, other = (chat.encode_prompt(tokenizer, record.prompt) for record in corpus[:2])

    def draw(
        *prompts: tuple[list[int], int], seed: int = 7, temperature: float = 1.0
    ) -> list[GeneratedAnswer]:
        return generation.sample_answers(loaded, tokenizer, prompts, temperature, 12, seed)

    first, second, again = draw((one, 0), (other, 0), (one, 1))
    assert first != again, "another number is another draw"
    assert [again, first] == draw((one, 1), (one, 0))
    assert [second] == draw((other, 0))
    assert [first] != draw((one, 0), seed=8)
    cold = draw((one, 0), (one, 1), temperature=1e-4)
    assert cold[0] == cold[1], "hardly any chance is left"
