import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import model_io

pytestmark = pytest.mark.slow

ARGUMENTS = ("merge", "base", "trained", "prepared/validation.jsonl", "merged")
WHOLE = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "merge.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture
def adapted(workplace: Path) -> Path:
    """trained/model: a random adapter that changes every linear layer."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    folder = workplace / "trained/model"
    config = LoraConfig(
        r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    base = model_io.load_model(workplace / "base", "auto", "eager", "cpu")
    model_io.save_model(get_peft_model(base, config), folder, 1.0)
    model_io.save_tokenizer(model_io.load_tokenizer(workplace / "base"), folder)
    return folder


def test_the_merged_model_is_pefts_own(workplace: Path, adapted: Path, stage: Callable[..., Any]):
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    run = stage(*ARGUMENTS)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith('merge: {"prompts": 4, ')
    assert sorted(path.name for path in (workplace / "merged").iterdir()) == WHOLE
    fact = json.loads((workplace / "merged/merge.json").read_text())
    assert fact["prompts"] == 4
    assert 0 <= fact["largest_logit_difference"] < 1e-3

    base = AutoModelForCausalLM.from_pretrained(workplace / "base")
    want = PeftModel.from_pretrained(base, adapted).merge_and_unload()
    want.save_pretrained(workplace / "want")
    got, expected, before = (
        load_file(workplace / name / "model.safetensors") for name in ("merged", "want", "base")
    )
    assert got.keys() == expected.keys() == before.keys()
    assert all(torch.equal(got[name], expected[name]) for name in got)
    changed = {name for name in got if not torch.equal(got[name], before[name])}
    assert changed == {name for name in got if name.endswith("_proj.weight")}


def test_a_merge_that_changes_answers_is_refused(
    workplace: Path, adapted: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    run = stage(*ARGUMENTS, changes={"merge.tolerance": 1e-12})
    refused(run, workplace / "merged", "merged logits differ by", "merge.tolerance 1e-12")


def test_a_fully_tuned_model_is_linked_not_copied(
    workplace: Path, tiny: Path, performed: Callable[..., str]
):
    (workplace / "base").rename(workplace / "model")
    (workplace / "base").mkdir()  # nothing of the base is needed
    (workplace / "trained").mkdir()
    (workplace / "model").rename(workplace / "trained/model")
    performed(*ARGUMENTS)
    assert sorted(path.name for path in (workplace / "merged").iterdir()) == WHOLE
    for name in set(WHOLE) - {"merge.json"}:
        assert (workplace / "merged" / name).samefile(workplace / "trained/model" / name)
    fact = json.loads((workplace / "merged/merge.json").read_text())
    assert fact == {"prompts": 0, "largest_logit_difference": 0.0}


def test_a_logit_that_is_no_number_is_a_difference_beyond_any_limit():
    import torch

    from stages.merge import largest_difference

    fine, spoilt = torch.zeros(2, 3), torch.tensor([[0.0, float("nan")]])
    assert math.isnan(largest_difference([fine, spoilt, fine], [fine, spoilt, fine]))
    assert largest_difference([fine, fine], [fine, fine + 0.5]) == 0.5
