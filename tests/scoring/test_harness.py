from collections.abc import Callable
from typing import Any

import pytest

from stages import chat
from stages.records import Record
from stages.scoring import harness, likelihood

LABELS = ["cancel_order", "track", "refund my order", "other"]


@pytest.mark.slow
def test_lm_eval_agrees_on_the_same_records(
    loaded: Any, tokenizer: Any, conversation: Callable[..., Record]
):
    rows = [conversation(f"{'请问 ' * (i % 4)}order {i}?", LABELS[i % 4]) for i in range(40)]
    prompts = [chat.prompt_ids(tokenizer, row.prompt) for row in rows]
    choices = [chat.answer_ids(tokenizer, label) for label in LABELS]
    scores = likelihood.choice_scores(loaded, prompts, choices, 8)
    # the answers of half of the records are made right, so that 0 and 1 are no way to agree
    chosen = [LABELS[row.index(max(row))] for row in scores]
    rows = [
        conversation(row.question, chosen[i] if i % 2 else row.answer) for i, row in enumerate(rows)
    ]
    right = sum(row.answer == choice for row, choice in zip(rows, chosen, strict=True))
    assert 0 < right < len(rows)
    got = harness.accuracy(loaded, tokenizer, rows, LABELS, 8)
    assert got == pytest.approx(right / len(rows))
