"""Adapters are checked before they are used; of another base, both identities are shown."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.merging import adapter_folder, keep_adapter, skeleton
from tests.merging.random_adapters import save_lora


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """Folder of a LoRA adapter of the tiny model."""
    return save_lora(tiny_model, tmp_path / "adapter", 1)


def attach(base: Path, adapter: Path) -> None:
    model = skeleton.fill_with_placeholders(skeleton.load_meta_model(base, "auto", "eager", None))
    skeleton.attach_adapters(model, {"default": adapter}, base)


def write_base(folder: Path, source: Path, **config: Any) -> str:
    """Write a random base whose configuration differs from that of another; return its hash."""
    from transformers import AutoConfig, AutoModelForCausalLM

    values = AutoConfig.from_pretrained(source, **config)
    AutoModelForCausalLM.from_config(values).save_pretrained(folder)
    return adapter_folder.hash_weights(folder)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"hidden_size": 32, "head_dim": 16}, r"does not fit .*base \(.*shape"),
        (
            {"num_hidden_layers": 1, "layer_types": ["full_attention"]},
            "adapts layers that .*base does not have, such as .*layers.1",
        ),
    ],
    ids=["width", "layers"],
)
def test_an_adapter_of_another_base_is_an_error_with_both_names(
    tiny_model: Path, tmp_path: Path, adapter: Path, change: dict[str, Any], reason: str
):
    sha256 = write_base(tmp_path / "base", tiny_model, **change)
    path = adapter / "adapter_config.json"
    config = {"base_model_name_or_path": "owner/large", "revision": "abc"}
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(UserError, match=f"^{adapter}: {reason}") as error:
        attach(tmp_path / "base", adapter)
    assert "its base is owner/large@abc (no hash in base.json)" in error.value.message
    assert f"{tmp_path}/base has sha256 {sha256}" in error.value.message


def test_a_base_of_the_same_shape_is_recognized_by_its_recorded_hash(
    tiny_model: Path, tmp_path: Path, adapter: Path
):
    adapter_folder.write_base_record(tiny_model, adapter)
    attach(tiny_model, adapter)
    recorded = adapter_folder.hash_weights(tiny_model)
    sha256 = write_base(tmp_path / "base", tiny_model)
    with pytest.raises(UserError, match="made for another base") as error:
        attach(tmp_path / "base", adapter)
    assert f"(sha256 {recorded}), {tmp_path}/base has sha256 {sha256};" in error.value.message


def test_weights_in_a_pickle_are_not_read(tiny_model: Path, adapter: Path):
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match="has no adapter_model"):
        attach(tiny_model, adapter)


def test_a_truncated_adapter_is_an_error(tiny_model: Path, adapter: Path):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"^{path}: not a complete safetensors file"):
        attach(tiny_model, adapter)


def test_an_adapter_that_lacks_a_layer_is_an_error(tiny_model: Path, adapter: Path):
    change_tensors(adapter, lambda tensors: tensors.popitem())
    with pytest.raises(UserError, match=r"lacks .*lora_.* does not agree with its adapter_config"):
        attach(tiny_model, adapter)


def test_nan_in_an_adapter_is_an_error(tiny_model: Path, adapter: Path):
    change_tensors(adapter, lambda tensors: next(iter(tensors.values())).fill_(float("nan")))
    with pytest.raises(
        UserError, match=r"adapter_model.safetensors: base_model.*lora_A.* holds NaN"
    ):
        attach(tiny_model, adapter)


def change_tensors(adapter: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def test_what_else_lies_in_a_published_folder_does_not_matter(
    tiny_model: Path, tmp_path: Path, adapter: Path
):
    (adapter / "README.md").write_text("---\nlicense: mit\n---\n")
    (adapter / "training_args.bin").write_bytes(b"\x80")
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key_of_a_later_version": 1}))
    attach(tiny_model, adapter)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_configuration_is_an_error(tiny_model: Path, adapter: Path, text: str):
    (adapter / "adapter_config.json").write_text(text)
    with pytest.raises(UserError, match=r"adapter_config\.json: (not|peft_type is missing)"):
        attach(tiny_model, adapter)


def test_a_missing_folder_names_the_setting(tiny_model: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"none: not found; .*merge\.adapters"):
        attach(tiny_model, tmp_path / "none")


def test_a_folder_with_an_adapter_config_is_an_adapter(tiny_model: Path, adapter: Path):
    assert adapter_folder.is_adapter(adapter)
    assert not adapter_folder.is_adapter(tiny_model)


def test_a_kept_adapter_records_its_base(tiny_model: Path, tmp_path: Path, adapter: Path):
    (adapter / "training_args.bin").write_bytes(b"")
    arguments = [str(adapter), str(tiny_model), str(tmp_path / "kept")]
    keep_adapter.main(arguments, standalone_mode=False)
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors", "base.json"]
    recorded = json.loads((tmp_path / "kept/base.json").read_text())
    assert recorded == {"sha256": adapter_folder.hash_weights(tiny_model)}
    with pytest.raises(UserError, match="kept: exists already; name another folder"):
        keep_adapter.main(arguments, standalone_mode=False)
