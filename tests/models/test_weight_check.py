"""Weight files that are missing, truncated or not finite are found before they are used."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lockstep.errors import UserError
from lockstep.models.weight_check import check_space, check_weights


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A folder with two shards and their index."""
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for name, file in shards.items():
        save_file({name: torch.ones(100), f"{name}_ids": torch.tensor([1])}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    return tmp_path


@pytest.mark.parametrize(
    ("number", "kind"),
    [(float("nan"), "NaN"), (float("inf"), "infinity"), (-float("inf"), "infinity")],
)
def test_numbers_that_are_not_finite_are_refused(sharded: Path, number: float, kind: str) -> None:
    check_weights(sharded)
    broken = {"c": torch.tensor([1.0, number], dtype=torch.bfloat16)}
    save_file(broken, sharded / "model-00002-of-00002.safetensors")
    with pytest.raises(UserError, match=rf"00002\.safetensors: c holds {kind}; fetch"):
        check_weights(sharded)


def test_a_truncated_shard_is_refused(sharded: Path) -> None:
    path = sharded / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"not a complete safetensors file .*run `dvc repro merge`"):
        check_weights(sharded)


@pytest.mark.parametrize("file", ["model-00001-of-00002.safetensors", "model.safetensors"])
def test_a_missing_weight_file_is_named(sharded: Path, file: str) -> None:
    """Without the index, the folder must have one file."""
    if file == "model.safetensors":
        (sharded / "model.safetensors.index.json").unlink()
    else:
        (sharded / file).unlink()
    with pytest.raises(UserError, match=f"^{sharded / file}: not found; run `dvc repro merge`"):
        check_weights(sharded)


def test_a_disk_that_is_too_small_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    check_space(tmp_path / "partial", 1000)
    with pytest.raises(UserError, match=f"^{tmp_path}: the weights need 1,001 bytes, and 1,000"):
        check_space(tmp_path / "partial", 1001)
