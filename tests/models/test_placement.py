"""Models lie on one device where one can hold them, and are divided among GPUs otherwise."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import compute, loading, placement

FREE = {0: 1000, 1: 2000}
"""Free bytes of two GPUs, of which 800 and 1600 are for weights."""


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch find two GPUs."""
    monkeypatch.setattr(compute, "select_device", lambda: "cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: (FREE[number], 9999))


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("size", "devices"),
    [(800, "cuda"), (801, {0: 800, 1: 1600}), (2400, {0: 800, 1: 1600}), (2401, "cpu")],
)
def test_a_model_is_divided_only_where_no_gpu_holds_it(
    tmp_path: Path, size: int, devices: placement.Devices
):
    assert placement.choose_devices(tmp_path, size) == devices
    (tmp_path / "model.safetensors").write_bytes(bytes(size))
    assert placement.choose_devices(tmp_path) == devices


def test_without_a_gpu_a_model_of_any_size_is_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compute, "select_device", lambda: "cpu")
    assert placement.choose_devices(tmp_path, 10**15) == "cpu"


def test_accelerate_divides_a_model_by_blocks(loaded_model: Any):
    """accelerate computes such a map without GPUs; it cannot be loaded without them."""
    from accelerate import infer_auto_device_map

    size = loaded_model.num_parameters() * 4
    arguments = placement.build_device_arguments({0: int(size * 0.8), 1: size})
    assert arguments["device_map"] == "auto"
    names = loaded_model._no_split_modules
    devices = infer_auto_device_map(
        loaded_model, arguments["max_memory"], no_split_module_classes=list(names)
    )
    assert set(devices.values()) == {0, 1}
    blocks = [name.partition("model.layers.")[2] for name in devices]
    assert not any("." in name for name in blocks), "a block is on one device"


def test_flash_attention_without_a_gpu_is_refused_and_nothing_is_fetched(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(UserError, match="flash_attention_2 needs the package flash-attn"):
        loading.load_model(tiny_model, "auto", "flash_attention_2", "cpu")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.8.3")
    with pytest.raises(UserError, match="flash_attention_2 needs a GPU and flash-attn from"):
        loading.load_model(tiny_model, "auto", "flash_attention_2", "cpu")
