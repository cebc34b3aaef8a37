import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ARGUMENTS = ("quantize", "base", "prepared/validation.jsonl", "quantized")


def test_writes_a_smaller_model_and_what_it_cost(workplace: Path, stage: Callable[..., Any]):
    run = stage(*ARGUMENTS)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith("quantize: nf4, ")
    assert run.stderr.count("\n") == 1
    out = workplace / "quantized"
    assert sorted(path.name for path in out.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "quantize.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    fact = json.loads((out / "quantize.json").read_text())
    assert (fact["method"], fact["quantized_layers"]) == ("nf4", 14)
    assert fact["bytes_before"] == (workplace / "base/model.safetensors").stat().st_size
    assert fact["bytes_after"] == (out / "model.safetensors").stat().st_size
    assert fact["bytes_after"] < fact["bytes_before"]
    assert fact["perplexity_before"] != fact["perplexity_after"]
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    assert config["bnb_4bit_use_double_quant"] is True
