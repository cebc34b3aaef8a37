"""Sampled answers hang on their seed and prompt alone."""

from typing import Any

import pytest

from stages import chat
from stages.records import Record
from stages.scoring import sampling


@pytest.mark.slow
def test_a_draw_is_of_its_prompt_and_seed_whatever_stands_beside_it(
    loaded: Any, tokenizer: Any, corpus: list[Record]
):
    one, other = (chat.prompt_ids(tokenizer, record.prompt) for record in corpus[:2])

    def draw(*prompts: list[int], seed: int = 7, temperature: float = 1.0) -> list[str]:
        return sampling.answers(loaded, tokenizer, prompts, temperature, 12, seed)

    first, second, again = draw(one, other, one)
    assert first != again, "a prompt that comes again is drawn anew"
    assert [first, again] == draw(one, one)
    assert [second] == draw(other)
    assert [first] != draw(one, seed=8)
    cold = draw(one, one, temperature=1e-4)
    assert cold[0] == cold[1], "hardly any chance is left"
