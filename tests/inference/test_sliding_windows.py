"""Each token of a long row is scored once, behind enough context."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.inference import likelihood, sliding_windows
from lockstep.models.chat import IGNORED, Example


@given(st.integers(1, 40), st.integers(0, 39), st.integers(2, 12))
def test_every_label_is_in_one_window_behind_half_of_one(length: int, prompt: int, size: int):
    prompt = min(prompt, length - 1)
    ids = list(range(length))
    example = Example(ids, [IGNORED] * prompt + ids[prompt:])
    scored = []
    for window in sliding_windows.of(example, size):
        assert len(window.input_ids) == len(window.labels) <= size
        for place, (token, label) in enumerate(zip(window.input_ids, window.labels, strict=True)):
            if label != IGNORED:
                assert label == token
                assert place >= min(token, size // 2)
                scored.append(token)
    assert scored == ids[prompt:]


def test_losses_of_windows_are_summed_by_example():
    assert sliding_windows.joined([(1.0, 2), (2.0, 3), (4.0, 1)], [2, 0, 1]) == [
        (3.0, 5),
        (0, 0),
        (4.0, 1),
    ]


def test_a_window_s_loss_is_that_of_its_tokens_behind_its_context(loaded: Any):
    """By hand: the log-probability of each token given those of its window before it."""
    import torch

    ids = [5, 9, 3, 7, 2, 8, 4, 6]
    example = Example(ids, [IGNORED, *ids[1:]])
    parts = sliding_windows.of(example, 4)
    losses = likelihood.answer_losses(loaded, parts, 2)
    [(total, tokens)] = sliding_windows.joined(losses, [len(parts)])
    assert tokens == 7

    def nats(context: list[int], token: int) -> float:
        with torch.inference_mode():
            logits = loaded(input_ids=torch.tensor([context])).logits[0, -1].float()
        return -float(logits.log_softmax(-1)[token])

    starts = {1: 0, 2: 0, 3: 0, 4: 2, 5: 2, 6: 4, 7: 4}
    by_hand = sum(nats(ids[starts[at] : at], ids[at]) for at in range(1, 8))
    assert total == pytest.approx(by_hand, rel=1e-4)
