"""llama.cpp generates the answers of transformers, whatever else it is asked."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.greedy_agreement import NEAR_TIE, find_divergences
from lockstep.inference import latency
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.inference.llama_cpp_generation import LlamaCppGenerator, generate_ids, time_tokens
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from tests.conftest import STARTER

QUESTIONS = [
    "Where is my order 4711?",
    "请取消订单 88。",
    "How do I return a lamp that arrived broken?",
    "龘龘 🙂 naïve?",
    "Refund order 12 please, and tell me how long it takes.",
    "发票怎么开？",
]


@pytest.fixture(scope="module")
def prompts(chat_tokenizer: ChatTokenizer) -> list[list[int]]:
    return [chat_tokenizer.encode_prompt([{"role": "user", "content": text}]) for text in QUESTIONS]


def test_greedy_answers_are_those_of_transformers_except_at_near_ties(
    runtime: LlamaCpp, model: Any, chat_tokenizer: ChatTokenizer, prompts: list[list[int]]
) -> None:
    divergences = find_divergences(model, runtime, chat_tokenizer, prompts, 60)
    assert all(divergence.gap < NEAR_TIE for divergence in divergences), divergences
    assert len(divergences) <= 1


def test_a_divergence_is_found_with_its_place_and_gap(
    runtime: LlamaCpp, chat_tokenizer: ChatTokenizer, prompts: list[list[int]]
) -> None:
    """A random model of the same shape has other answers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    other = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(STARTER)).eval()
    divergences = find_divergences(other, runtime, chat_tokenizer, prompts, 8)
    assert [divergence.prompt for divergence in divergences] == list(range(len(prompts)))
    with torch.inference_mode():
        scores = other(torch.tensor([prompts[0]])).logits[0, -1].log_softmax(-1)
    (answer,) = runtime.complete(prompts[0], 1, **GREEDY)["tokens"]
    assert divergences[0].place == 0
    assert divergences[0].gap == pytest.approx(float(scores.max() - scores[answer]), abs=1e-4)


def test_an_answer_does_not_depend_on_other_prompts(
    starter_gguf: Path, runtime: LlamaCpp, chat_tokenizer: ChatTokenizer, prompts: list[list[int]]
) -> None:
    answers = LlamaCppGenerator(runtime, chat_tokenizer).generate(prompts, 40)
    assert len({answer.text for answer in answers}) == len(answers)
    with LlamaCpp(starter_gguf / GGUF_FILE) as other:
        generator = LlamaCppGenerator(other, chat_tokenizer)
        alone = [generator.generate([prompt], 40)[0] for prompt in reversed(prompts)]
    assert alone == answers[::-1]


def test_an_answer_ends_only_at_an_end_token_of_the_tokenizer(
    runtime: LlamaCpp, model: Any, chat_tokenizer: ChatTokenizer, prompts: list[list[int]]
) -> None:
    """Without end tokens the answer goes on after the token at which llama.cpp stops."""
    import torch

    end = chat_tokenizer.end_ids[0]
    place = next(
        number
        for number, prompt in enumerate(prompts)
        if generate_ids(runtime, prompt, 60, [end], **GREEDY)[-1] == end
    )
    ids = generate_ids(runtime, prompts[place], 60, [], **GREEDY)
    assert len(ids) == 60
    assert end in ids[:-1]
    with torch.inference_mode():
        sequence = torch.tensor([prompts[place] + ids])
        best = model(sequence).logits[0, len(prompts[place]) - 1 : -1].argmax(-1).tolist()
    after = ids.index(end) + 1
    assert ids[: after + 1] == best[: after + 1]


def test_samples_follow_seed_draw_and_temperature(
    runtime: LlamaCpp, chat_tokenizer: ChatTokenizer, prompts: list[list[int]]
) -> None:
    generator = LlamaCppGenerator(runtime, chat_tokenizer)
    draws = [(prompts[0], draw) for draw in range(4)]
    samples = generator.sample(draws, 1.5, 20, 7)
    assert len({sample.text for sample in samples}) == 4
    assert generator.sample(draws[2:], 1.5, 20, 7) == samples[2:]
    assert generator.sample(draws[:1], 1.5, 20, 8) != samples[:1]
    assert generator.sample(draws[:1], 1e-3, 20, 7) == generator.generate(prompts[:1], 20)


def test_steps_are_timed_one_by_one_and_in_a_batch(
    runtime: LlamaCpp, prompts: list[list[int]]
) -> None:
    times = time_tokens(runtime, prompts[:1], 0, 12)
    assert len(times) == 12
    assert min(times) > 0
    timings = latency.measure_latency(runtime, prompts, 0, 3, 12, time_tokens)
    assert timings["token_ms_p95"] >= timings["token_ms_p50"] > 0
    assert timings["tokens_per_second_batch_3"] > 0
    assert runtime.slots == 1
