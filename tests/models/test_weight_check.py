"""Weight files that are truncated or hold NaN are found before they are used."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lockstep.errors import UserError
from lockstep.models.weight_check import check_weights


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, number: float) -> None:
    weights = {"a": torch.ones(2, 2), "b": torch.tensor([1, 2])}
    save_file(weights, tmp_path / "model-00001-of-00002.safetensors")
    check_weights(tmp_path)
    broken = {"c": torch.tensor([1.0, number], dtype=torch.bfloat16)}
    save_file(broken, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(UserError, match=r"00002\.safetensors: c holds NaN or infinite"):
        check_weights(tmp_path)


def test_a_truncated_shard_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"not a complete safetensors file .*run `dvc repro merge`"):
        check_weights(tmp_path)
