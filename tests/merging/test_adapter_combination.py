"""Several adapters are combined as PEFT combines them, and what it would lose is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.merging import adapter_combination, skeleton
from lockstep.merging.merge_params import AdapterParams, MergeParams
from lockstep.models import loading
from lockstep.models.heads import Head
from tests.merging.random_adapters import save_lora


def combine(
    base: Path, folders: dict[str, Path], out: Path, head: Head | None = None, **params: Any
) -> Path:
    """Combine adapters with the weights 1.5 and -0.5, and save the result."""
    adapters = [AdapterParams(path=name, weight=-0.5) for name in list(folders)[1:]]
    settings = MergeParams(adapters=adapters, trained_weight=1.5, **params)
    meta = skeleton.load_meta_model(base, "auto", "eager", head)
    combined = adapter_combination.combine_adapters(meta, base, folders, settings, 7)
    adapter_combination.save_combination(combined, out)
    return out


def read_merged(base: Path, adapter: Path) -> dict[str, Any]:
    """Return the weights of the base with an adapter that PEFT merges."""
    from peft import PeftModel

    model = loading.load_model(base, "float32", "eager", "cpu")
    return dict(PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict())


@pytest.fixture
def two_adapters(tiny_model: Path, tmp_path: Path) -> dict[str, Path]:
    return {
        "trained": save_lora(tiny_model, tmp_path / "trained", 1),
        "other": save_lora(tiny_model, tmp_path / "other", 2),
    }


@pytest.mark.parametrize(
    "method", ["cat", "linear", "svd", "ties", "dare_linear", "dare_ties", "magnitude_prune"]
)
def test_a_combination_is_the_one_of_peft(
    tiny_model: Path, tmp_path: Path, two_adapters: dict[str, Path], method: str
):
    """PEFT combines the adapters on the whole model here, as its documentation shows."""
    import torch
    from peft import PeftModel

    folder = combine(
        tiny_model, two_adapters, tmp_path / "out", combination=method, density=0.3, svd_rank=8
    )
    model = PeftModel.from_pretrained(
        loading.load_model(tiny_model, "float32", "eager", "cpu"), two_adapters["trained"], "one"
    )
    model.load_adapter(two_adapters["other"], "two")
    torch.manual_seed(7)
    model.add_weighted_adapter(["one", "two"], [1.5, -0.5], "both", method, density=0.3, svd_rank=8)
    model.set_adapter("both")
    expected = model.merge_and_unload().state_dict()
    merged = read_merged(tiny_model, folder)
    assert all(torch.allclose(merged[name], expected[name], atol=1e-5) for name in expected)
    base = loading.load_model(tiny_model, "float32", "eager", "cpu").state_dict()
    assert any(not torch.allclose(merged[name], base[name], atol=1e-3) for name in base)


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": ["up_proj"]},
        {"target_modules": r".*\.(k|o)_proj"},
        {"use_rslora": True},
        {"r": 2},
        {"rank_pattern": {"v_proj": 6}},
        {"layers_to_transform": [1]},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_trained", [True, False])
def test_cat_is_the_weighted_sum_of_the_updates(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any], is_trained: bool
):
    """Adapters may differ in layers, in the form of their names, in ranks and in scaling."""
    import torch

    one, two = (changes, {}) if is_trained else ({}, changes)
    folders = {
        "trained": save_lora(tiny_model, tmp_path / "trained", 1, **one),
        "other": save_lora(tiny_model, tmp_path / "other", 2, **two),
    }
    merged = read_merged(tiny_model, combine(tiny_model, folders, tmp_path / "out"))
    base = loading.load_model(tiny_model, "float32", "eager", "cpu").state_dict()
    trained, other = (read_merged(tiny_model, folder) for folder in folders.values())
    for name, weight in base.items():
        expected = weight + 1.5 * (trained[name] - weight) - 0.5 * (other[name] - weight)
        assert torch.allclose(merged[name], expected, atol=1e-5), name


def test_the_trained_adapter_alone_may_have_a_weight(tiny_model: Path, tmp_path: Path):
    import torch

    trained = save_lora(tiny_model, tmp_path / "trained", 1)
    merged = read_merged(tiny_model, combine(tiny_model, {"trained": trained}, tmp_path / "out"))
    base = loading.load_model(tiny_model, "float32", "eager", "cpu").state_dict()
    update = read_merged(tiny_model, trained)
    for name, weight in base.items():
        assert torch.allclose(merged[name], weight + 1.5 * (update[name] - weight), atol=1e-5)


def test_linear_keeps_the_ranks_of_single_layers(tiny_model: Path, tmp_path: Path):
    pattern = {"rank_pattern": {"v_proj": 2}}
    folders = {
        "trained": save_lora(tiny_model, tmp_path / "trained", 1, **pattern),
        "other": save_lora(tiny_model, tmp_path / "other", 2, **pattern),
    }
    folder = combine(tiny_model, folders, tmp_path / "out", combination="linear")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert set(config["rank_pattern"].values()) == {2}
    read_merged(tiny_model, folder)  # PEFT loads it


def test_the_seed_decides_what_dare_drops(
    tiny_model: Path, tmp_path: Path, two_adapters: dict[str, Path]
):
    def run(name: str) -> bytes:
        folder = combine(tiny_model, two_adapters, tmp_path / name, combination="dare_linear")
        return (folder / "adapter_model.safetensors").read_bytes()

    import torch

    torch.manual_seed(3)
    first = run("first")
    torch.manual_seed(4)
    assert run("second") == first


HEAD = Head("single_label_classification", ["refund", "track"])


def test_the_head_is_that_of_the_trained_adapter(tiny_model: Path, tmp_path: Path):
    import torch
    from safetensors.torch import load_file

    folders = {
        "trained": save_lora(tiny_model, tmp_path / "trained", 1, HEAD),
        "other": save_lora(tiny_model, tmp_path / "other", 2),  # of a model that writes
    }
    out = combine(tiny_model, folders, tmp_path / "out", HEAD)
    combined, trained = (
        load_file(folder / "adapter_model.safetensors") for folder in (out, folders["trained"])
    )
    name = "base_model.model.score.weight"
    assert torch.equal(combined[name], trained[name])


def test_a_second_head_is_refused(tiny_model: Path, tmp_path: Path):
    folders = {
        name: save_lora(tiny_model, tmp_path / name, number, HEAD)
        for number, name in enumerate(["trained", "other"])
    }
    with pytest.raises(UserError, match=r"other: .* whole layers \(classifier, score\)"):
        combine(tiny_model, folders, tmp_path / "out", HEAD)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"r": 2}, "has rank 2, but the trained adapter has rank 4; merge.combination linear"),
    "dora": ({"use_dora": True}, "it uses DoRA"),
    "bias": ({"bias": "all"}, r"it trains biases \(bias: all\)"),
    "whole layers": ({"modules_to_save": ["norm"]}, r"it holds whole layers \(norm\)"),
    "tokens": ({"trainable_token_indices": [3]}, "it trains tokens"),
}
"""Changes of an adapter that cannot be combined, and the reason."""


@pytest.mark.parametrize("name", REFUSED)
def test_an_adapter_that_cannot_be_combined_is_named(tiny_model: Path, tmp_path: Path, name: str):
    changes, reason = REFUSED[name]
    folders = {
        "trained": save_lora(tiny_model, tmp_path / "trained", 1),
        "other": save_lora(tiny_model, tmp_path / "data/other", 2, **changes),
    }
    with pytest.raises(UserError, match=f"^{tmp_path}/data/other: .*{reason}") as error:
        combine(tiny_model, folders, tmp_path / "out", combination="linear")
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    "key, value, reason",
    [
        ("peft_type", "LOHA", "it is of kind LOHA"),
        ("init_lora_weights", "pissa", "changes the base's weights"),
        ("megatron_config", {}, "would import foreign code"),
    ],
)
def test_a_configuration_that_cannot_be_combined_is_named(
    tiny_model: Path,
    tmp_path: Path,
    two_adapters: dict[str, Path],
    key: str,
    value: Any,
    reason: str,
):
    path = two_adapters["other"] / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError, match=f"^{tmp_path}/other.*{reason}"):
        combine(tiny_model, two_adapters, tmp_path / "out")
