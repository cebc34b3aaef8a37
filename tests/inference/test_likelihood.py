"""Likelihoods equal those of single forward passes of transformers."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import UserError
from lockstep.inference import likelihood
from lockstep.models.chat import IGNORE_INDEX, Example
from lockstep.records import Record

PROMPTS = [[1, 9, 8, 7, 30, 31, 32], [1, 5], [1], [40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50]]
CHOICES = [[100, 101, 102, 2], [103, 2], [104, 105, 106, 107, 108, 109, 2]]


def compute_log_likelihood(model: Any, prompt: list[int], choice: list[int]) -> float:
    """Compute log p(choice | prompt) with one forward pass, without padding or a cache."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([prompt + choice])
        log_p = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
    return sum(float(log_p[len(prompt) - 1 + i, token]) for i, token in enumerate(choice))


@pytest.mark.parametrize("choices", [CHOICES, [[7], [8], [9]], [[5, 6, 2]]])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 64])
def test_scores_of_choices_equal_those_of_single_forward_passes(
    loaded_model: Any, choices: list[list[int]], batch_size: int
):
    scores = likelihood.score_choices(loaded_model, PROMPTS, choices, batch_size)
    expected = [
        [compute_log_likelihood(loaded_model, prompt, choice) for choice in choices]
        for prompt in PROMPTS
    ]
    for row, expected_row in zip(scores, expected, strict=True):
        assert row == pytest.approx(expected_row, abs=1e-4)
        assert row.index(max(row)) == expected_row.index(max(expected_row))


def test_answer_losses_equal_those_of_transformers(
    loaded_model: Any, tokenizer: Any, corpus: list[Record]
):
    import torch

    examples = [tokenizer.encode_example(record, 200) for record in corpus]
    losses = likelihood.compute_answer_losses(loaded_model, examples, 5)
    for (loss, tokens), example in zip(losses, examples, strict=True):
        ids, labels = torch.tensor([example.input_ids]), torch.tensor([example.labels])
        with torch.inference_mode():
            mean = float(loaded_model(input_ids=ids, labels=labels).loss)
        assert tokens == example.answer_tokens
        assert loss / tokens == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("batch_size", [2, 5, 64])
def test_losses_do_not_depend_on_the_batch_size(
    loaded_model: Any, tokenizer: Any, corpus: list[Record], batch_size: int
):
    examples = [tokenizer.encode_example(record, 200) for record in corpus]
    singly = [loss for loss, _ in likelihood.compute_answer_losses(loaded_model, examples, 1)]
    batched = [
        loss for loss, _ in likelihood.compute_answer_losses(loaded_model, examples, batch_size)
    ]
    assert batched == pytest.approx(singly, abs=1e-3, rel=1e-5)


def test_an_answer_that_is_truncated_away_has_no_loss(loaded_model: Any):
    truncated = Example([1, 5, 6], [IGNORE_INDEX] * 3)
    assert likelihood.compute_answer_losses(loaded_model, [truncated], 1) == [(0.0, 0)]


def test_perplexity_gives_every_token_the_same_weight():
    assert likelihood.compute_perplexity([(math.log(8), 1), (2 * math.log(2), 5)]) == pytest.approx(
        32 ** (1 / 6)
    )
    assert likelihood.compute_perplexity([(3 * math.log(400), 3)]) == pytest.approx(400)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([(0.0, 0)], "no record has an answer left to score; raise max_length"),
        ([], "no record has an answer left"),
        ([(800.0, 1)], "mean loss of an answer token is 800: the model is unusable"),
        ([(math.nan, 1)], "mean loss of an answer token is nan"),
    ],
)
def test_a_perplexity_that_is_not_finite_is_an_error(
    losses: list[likelihood.AnswerLoss], message: str
):
    with pytest.raises(UserError, match=message):
        likelihood.compute_perplexity(losses)


@given(st.integers(1, 40), st.integers(0, 39), st.integers(2, 12))
def test_every_label_is_in_one_window_after_half_a_window_of_context(
    length: int, prompt: int, size: int
):
    prompt = min(prompt, length - 1)
    ids = list(range(length))
    example = Example(ids, [IGNORE_INDEX] * prompt + ids[prompt:])
    scored = []
    for window in likelihood.split_into_windows(example, size):
        assert len(window.input_ids) == len(window.labels) <= size
        for position, (token, label) in enumerate(
            zip(window.input_ids, window.labels, strict=True)
        ):
            if label != IGNORE_INDEX:
                assert label == token
                assert position >= min(token, size // 2)
                scored.append(token)
    assert scored == ids[prompt:]


def test_window_losses_are_summed_per_example():
    assert likelihood.sum_window_losses([(1.0, 2), (2.0, 3), (4.0, 1)], [2, 0, 1]) == [
        (3.0, 5),
        (0, 0),
        (4.0, 1),
    ]


def test_the_loss_over_windows_sums_the_loss_of_each_token_given_its_context(loaded_model: Any):
    """The expected loss sums the log-probability of each token given the tokens before it."""
    import torch

    ids = [5, 9, 3, 7, 2, 8, 4, 6]
    example = Example(ids, [IGNORE_INDEX, *ids[1:]])
    windows = likelihood.split_into_windows(example, 4)
    losses = likelihood.compute_answer_losses(loaded_model, windows, 2)
    [(total, tokens)] = likelihood.sum_window_losses(losses, [len(windows)])
    assert tokens == 7

    def compute_loss(context: list[int], token: int) -> float:
        with torch.inference_mode():
            logits = loaded_model(input_ids=torch.tensor([context])).logits[0, -1].float()
        return -float(logits.log_softmax(-1)[token])

    starts = {1: 0, 2: 0, 3: 0, 4: 2, 5: 2, 6: 4, 7: 4}
    expected = sum(compute_loss(ids[starts[at] : at], ids[at]) for at in range(1, 8))
    assert total == pytest.approx(expected, rel=1e-4)


def build_hybrid_model(name: str) -> Any:
    """Return a tiny model that has linear attention or convolutions between its attention."""
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1,
    }  # fmt: skip
    config: Any
    match name:
        case "qwen3_5":
            config = transformers.Qwen3_5TextConfig(
                **shape, head_dim=16, linear_num_key_heads=2, linear_num_value_heads=2,
                linear_key_head_dim=16, linear_value_head_dim=16,
                layer_types=["linear_attention", "full_attention"],
            )  # fmt: skip
        case "lfm2":
            config = transformers.Lfm2Config(**shape, layer_types=["conv", "full_attention"])
        case "falcon_h1":
            config = transformers.FalconH1Config(
                **shape, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=16,
                mamba_chunk_size=8,
            )  # fmt: skip
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


@pytest.mark.parametrize("name", ["qwen3_5", "lfm2", "falcon_h1"])
def test_choices_of_a_model_with_linear_attention_are_scored(name: str):
    """Its cache cannot be repeated for several choices (Qwen3.5 raised an AttributeError)."""
    model = build_hybrid_model(name)
    scores = likelihood.score_choices(model, PROMPTS, CHOICES, 4)
    expected = [
        [compute_log_likelihood(model, prompt, choice) for choice in CHOICES] for prompt in PROMPTS
    ]
    for row, expected_row in zip(scores, expected, strict=True):
        assert row == pytest.approx(expected_row, abs=1e-4)
