"""GRPO learns from its rewards: what the trainer logs is what each reward gives to the answers."""

import json
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from lockstep.inference.generation import TransformersGenerator
from lockstep.models.chat import ChatTokenizer
from lockstep.records import Record

pytestmark = pytest.mark.slow


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


BY_HAND: dict[str, Callable[[str, str], float]] = {
    "exact_match": lambda answer, reference: float(answer.strip() == reference.strip()),
    "json": lambda answer, reference: float(is_json(answer)),
    "length": lambda answer, reference: min(1.0, max(0.0, 2 - len(answer) / len(reference))),
}
"""Kind of reward -> the reward of (answer, reference)."""


@pytest.fixture
def make_records(
    corpus: list[Record], loaded_model: Any, tokenizer: ChatTokenizer
) -> Callable[[str], list[Record]]:
    """Return records whose reference is the token that the untrained model finds most likely."""
    prompts = [tokenizer.encode_prompt(record.prompt) for record in corpus]
    answers = TransformersGenerator(loaded_model, tokenizer, 4).generate(prompts, 1)
    rows = [
        record.with_answer(answer.text)
        for record, answer in zip(corpus, answers, strict=True)
        if answer.text.strip()
    ]
    return lambda objective: [replace(row, origin=f"s.csv:{n}") for n, row in enumerate(rows)]


@pytest.mark.parametrize("kind", BY_HAND)
def test_training_raises_the_reward_that_the_answers_earn(
    run_training: Callable[..., Any], make_records: Callable[[str], list[Record]], kind: str
):
    trainer = run_training(
        objective="grpo", strategy="full", learning_rate=3e-3, schedule="constant", warmup=0.0,
        batch_size=32, epochs=6.0, evaluation_steps=0,
        evaluation_tokens=3 if kind == "length" else 1,
        options={"num_generations": 16}, grpo={"rewards": [{"kind": kind, "weight": 2.0}]},
    )  # fmt: skip
    means = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    assert fmean(means[-8:]) > fmean(means[:4]) + 0.25  # a constant reward cannot rise
    assert_rewards_by_hand(trainer, kind, make_records("grpo"))


def assert_rewards_by_hand(trainer: Any, kind: str, rows: list[Record]) -> None:
    """Assert that the logged rewards of the last answers are those computed here."""
    references = {dump_messages(row.prompt): row.answer for row in rows}
    logs, (rewards,) = trainer._logs, trainer._logs["rewards"].values()
    expected = [
        BY_HAND[kind](answer, references[dump_messages(json.loads(prompt)["messages"])])
        for prompt, answer in zip(logs["prompt"], logs["completion"], strict=True)
    ]
    assert rewards == pytest.approx(expected)


def dump_messages(messages: list[dict[str, Any]]) -> str:
    return json.dumps(messages, ensure_ascii=False, sort_keys=True)
