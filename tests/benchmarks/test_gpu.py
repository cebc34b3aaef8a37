"""The benchmark of the GPU runs on a CPU with a tiny model; its numbers are checked elsewhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import gpu

LLAMA_2_7B_PARAMETERS = 6_738_415_616
"""Number of parameters that the model's page on the hub states."""


@pytest.mark.slow
def test_a_tiny_model_is_measured_beside_the_plain_script():
    options = ["--shape", "tiny", "--device", "cpu", "--steps", "2", "--length", "64"]
    result = CliRunner().invoke(gpu.main, options)
    assert result.exit_code == 0, result.output
    first, ours, plain = result.stdout.splitlines()
    assert re.match(r"CPU, tiny: 0\.00 billion parameters, weights 0\.00 GB in nf4", first)
    assert re.match(r"  qlora +[\d,]+ tokens/s  utilisation unknown +\d\.\d\d GB  same bytes", ours)
    assert re.match(r"  qlora +[\d,]+ tokens/s .* plain TRL$", plain)


def test_weights_of_a_7b_model_take_less_than_4_gb(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(gpu.build_config("llama-2-7b").to_dict()))
    text, parameters = gpu.describe_weights(tmp_path)
    assert parameters == LLAMA_2_7B_PARAMETERS
    size = re.match(r"weights ([\d.]+) GB in nf4, 13\.48 GB in bf16", text)
    assert size is not None
    assert 3.7 < float(size[1]) < 4.0


@pytest.mark.parametrize("is_full", [True, False])
def test_flops_are_those_that_torch_counts(is_full: bool):
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM

    config, rows, length = gpu.build_config("tiny"), 2, 32
    model: Any = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    model.requires_grad_(is_full)
    inputs = torch.randn(rows, length, config.hidden_size, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        model(inputs_embeds=inputs).logits.sum().backward()
    parameters = model.num_parameters() - config.vocab_size * config.hidden_size
    expected = gpu.count_flops_per_token(config, parameters, length, is_full=is_full)
    assert counter.get_total_flops() / (rows * length) == pytest.approx(expected, rel=0.01)


def test_rows_fill_the_length():
    from lockstep.models import loading

    tokenizer = loading.load_tokenizer(gpu.TOKENIZER)
    for record in gpu.build_records(3, 64):
        example = tokenizer.encode_example(record, 64)
        assert len(example.input_ids) == 64
        assert example.answer_tokens > 0
