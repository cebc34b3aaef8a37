"""Latencies and throughputs agree with each other."""

from typing import Any

import pytest

from lockstep.inference import latency
from lockstep.records import Record


@pytest.mark.slow
def test_latencies_and_throughputs_agree(loaded_model: Any, tokenizer: Any, corpus: list[Record]):
    prompts = [tokenizer.encode_prompt(record.prompt) for record in corpus[:3]]
    timings = latency.measure_latency(loaded_model, prompts, tokenizer.pad_token_id, 4, 12)
    assert list(timings) == [
        "first_token_ms_p50", "first_token_ms_p95", "token_ms_p50", "token_ms_p95",
        "tokens_per_second_batch_1", "tokens_per_second_batch_4",
    ]  # fmt: skip
    for name in ("first_token", "token"):
        assert 0 < timings[f"{name}_ms_p50"] <= timings[f"{name}_ms_p95"]
    slowest = max(timings["first_token_ms_p95"], timings["token_ms_p95"])
    assert timings["tokens_per_second_batch_1"] > 1000 / slowest / 2
