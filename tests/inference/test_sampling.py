"""Sampled answers hang on their seed and prompt alone."""

from typing import Any

import pytest

from lockstep.inference import sampling
from lockstep.inference.generation import Written
from lockstep.models import chat
from lockstep.records import Record


@pytest.mark.slow
def test_a_draw_is_of_its_prompt_and_seed_whatever_stands_beside_it(
    loaded: Any, tokenizer: Any, corpus: list[Record]
):
    one, other = (chat.prompt_ids(tokenizer, record.prompt) for record in corpus[:2])

    def draw(
        *prompts: tuple[list[int], int], seed: int = 7, temperature: float = 1.0
    ) -> list[Written]:
        return sampling.answers(loaded, tokenizer, prompts, temperature, 12, seed)

    first, second, again = draw((one, 0), (other, 0), (one, 1))
    assert first != again, "another number is another draw"
    assert [again, first] == draw((one, 1), (one, 0))
    assert [second] == draw((other, 0))
    assert [first] != draw((one, 0), seed=8)
    cold = draw((one, 0), (one, 1), temperature=1e-4)
    assert cold[0] == cold[1], "hardly any chance is left"
