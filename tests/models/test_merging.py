"""The comparison of logits detects every difference."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import merging
from lockstep.records import Record


def test_a_nan_logit_makes_the_difference_nan():
    import torch

    logits, with_nan = torch.zeros(2, 3), torch.tensor([[0.0, float("nan")]])
    assert math.isnan(
        merging.compute_largest_difference([logits, with_nan, logits], [logits, with_nan, logits])
    )
    assert merging.compute_largest_difference([logits, logits], [logits, logits + 0.5]) == 0.5


def test_prompts_are_sampled_evenly_and_truncated(
    tokenizer: Any, make_record: Callable[..., Record]
):
    rows = [make_record(f"order {number}? " * 200, "track") for number in range(6)]
    prompts = merging.encode_prompts(tokenizer, rows, 3)
    assert [len(prompt) for prompt in prompts] == [merging.MAX_PROMPT_TOKENS] * 3
    assert len({tuple(prompt) for prompt in prompts}) == 3


def test_a_folder_with_an_adapter_config_is_an_adapter(tiny_model: Path, tmp_path: Path):
    assert not merging.is_adapter(tiny_model)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert merging.is_adapter(tmp_path)


def test_every_parameter_of_merge_has_a_default():
    assert merging.MergeParams() == merging.MergeParams(prompts=32, tolerance=1e-3)


@pytest.mark.parametrize("changes", [{"prompts": 0}, {"tolerance": 0.0}])
def test_zero_prompts_or_zero_tolerance_is_an_error(changes: dict[str, Any]):
    with pytest.raises(ValueError, match="greater than 0"):
        merging.MergeParams(**changes)
