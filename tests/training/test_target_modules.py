"""Adapters fit every family of models by default, and leave out what text does not use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.merging import parity
from lockstep.models import loading
from lockstep.models.heads import Head
from lockstep.training import adapters
from lockstep.training.target_modules import choose_target_modules
from lockstep.training.training_plan import Params, check_context
from tests.published_folders import ENCODERS, write_published_folder

HEAD = Head("single_label_classification", ["a", "b", "c"])
LAYERS = {
    "gpt2": {"c_attn", "c_fc", "c_proj"},
    "falcon": {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
    "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
    "gemma3": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    "bert": {"query", "key", "value", "dense"},
    "roberta": {"query", "key", "value", "dense"},
    "distilbert": {"q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"},
    "deberta-v2": {"query_proj", "key_proj", "value_proj", "dense"},
    "modernbert": {"Wqkv", "Wi", "Wo", "dense"},
}
"""Names of the layers that receive an adapter by default, by family."""

SAVED = {
    "bert": {"bert.pooler.dense", "classifier"},
    "roberta": {"classifier"},
    "distilbert": {"pre_classifier", "classifier"},
    "deberta-v2": {"pooler.dense", "classifier"},
    "modernbert": {"classifier"},
}
"""Layers that are trained whole, because the base's files lack them."""


def load(family: str, folder: Path) -> Any:
    """Return the model of a family, with a new head if it is an encoder."""
    if not folder.exists():
        write_published_folder(family, folder)
    head = HEAD if family in ENCODERS else None
    return loading.load_model(folder, "float32", "eager", "cpu", head=head)


def adapt(model: Any, config_class: str = "LoraConfig", **options: Any) -> Any:
    """Return the model with a new adapter, as the trainer adds it."""
    import peft

    task = "SEQ_CLS" if hasattr(model, "num_labels") and model.new_parameters else "CAUSAL_LM"
    config = getattr(peft, config_class)(task_type=task, **options)
    choose_target_modules(config, model)
    return peft.get_peft_model(model, config)


def list_adapted(model: Any) -> set[str]:
    """Return the full names of the layers that have an adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {
        name.removeprefix("base_model.model.")
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    }


@pytest.mark.parametrize("family", LAYERS)
def test_lora_adapts_all_linear_layers_by_default(family: str, tmp_path: Path):
    from peft.utils import ModulesToSaveWrapper

    model = adapt(load(family, tmp_path / family))
    assert {name.rpartition(".")[2] for name in list_adapted(model)} == LAYERS[family]
    saved = {
        name.removeprefix("base_model.model.")
        for name, module in model.named_modules()
        if isinstance(module, ModulesToSaveWrapper)
    }
    assert saved == SAVED.get(family, set())


@pytest.mark.parametrize("family", SAVED)
@pytest.mark.parametrize("config_class", ["LoraConfig", "IA3Config", "PeanutConfig"])
def test_an_adapter_holds_all_that_the_files_of_an_encoder_lack(
    family: str, config_class: str, tmp_path: Path
):
    """The base is loaded again with another random head, as merge does."""
    import torch
    from peft import PeftModel

    model = adapt(load(family, tmp_path / family), config_class).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    prompts = [list(range(5, 20))]
    expected = parity.compute_logits(model, prompts)
    model.save_pretrained(tmp_path / "adapter")
    torch.manual_seed(99)
    base = load(family, tmp_path / family)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.equal(parity.compute_logits(loaded, prompts)[0], expected[0])
    torch.manual_seed(99)
    base = load(family, tmp_path / family)
    _, differences = parity.merge_adapter(base, tmp_path / "adapter", prompts, 1e-5)
    assert differences.merging < 1e-5


@pytest.mark.parametrize("targets", [None, "all-linear", ["q_proj", "v_proj"]])
def test_the_vision_part_gets_no_adapter(tmp_path: Path, targets: Any):
    model = adapt(load("gemma3", tmp_path / "gemma3"), target_modules=targets)
    assert all(name.startswith("model.language_model.") for name in list_adapted(model))


@pytest.mark.parametrize("excluded", [["v_proj", "o_proj"], r".*\.(v|o)_proj"])
def test_layers_that_the_user_excludes_stay_excluded(tmp_path: Path, excluded: Any):
    model = adapt(load("gemma3", tmp_path / "gemma3"), exclude_modules=excluded)
    names = {name.rpartition(".")[2] for name in list_adapted(model)}
    assert names == LAYERS["gemma3"] - {"v_proj", "o_proj"}
    assert all(name.startswith("model.language_model.") for name in list_adapted(model))


def test_the_vision_part_keeps_its_bytes(tmp_path: Path):
    """The blocks of the vision part are more than those of the text part."""
    model = load("gemma3", tmp_path / "gemma3")
    assert loading.find_media_parts(model) == ["model.vision_tower", "model.multi_modal_projector"]
    assert loading.find_blocks(model) is model.model.language_model.layers
    adapters.freeze_layers(model, 1)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    text = "model.language_model."
    assert {f"{text}layers.1.mlp.up_proj.weight", f"{text}norm.weight"} <= trained
    assert all(name.startswith((text, "lm_head")) for name in trained)


def test_an_unknown_layer_is_refused_with_the_names_of_the_base(tmp_path: Path):
    model = load("gpt2", tmp_path / "gpt2")
    message = (
        "params.yaml: train.adapter.target_modules: the base has no layer q_proj; did you mean "
        "c_proj? known: c_attn, c_fc, c_proj, lm_head, wpe, wte; all-linear names all linear ones"
    )
    with pytest.raises(UserError) as error:
        adapt(model, target_modules=["c_attn", "q_proj"])
    assert error.value.message == message


def test_layers_may_be_excluded_by_name_or_by_pattern(tmp_path: Path):
    everything = list_adapted(adapt(load("phi3", tmp_path / "phi3")))
    for excluded in (["qkv_proj"], r".*\.qkv_proj"):
        names = list_adapted(adapt(load("phi3", tmp_path / "phi3"), exclude_modules=excluded))
        assert names == {name for name in everything if not name.endswith("qkv_proj")}


@pytest.mark.parametrize(
    ("config_class", "option"),
    [
        ("LoraConfig", "modules_to_save"),
        ("LoraConfig", "exclude_modules"),
        ("IA3Config", "feedforward_modules"),
    ],
)
def test_a_layer_that_the_base_lacks_is_an_error(config_class: str, option: str, tmp_path: Path):
    with pytest.raises(UserError, match=rf"train\.adapter\.{option}: the base has no layer foo;"):
        adapt(load("phi3", tmp_path / "phi3"), config_class, **{option: ["foo"]})


def test_bottleneck_refuses_the_layers_of_gpt2(tmp_path: Path):
    with pytest.raises(UserError, match="bottleneck cannot adapt the Conv1D layers of gpt2"):
        adapt(load("gpt2", tmp_path / "gpt2"), "PeanutConfig")


def test_full_training_leaves_the_vision_part_as_it_is(
    tmp_path: Path, make_params: Callable[..., Params]
):
    model = load("gemma3", tmp_path / "gemma3")
    adapters.prepare_model(model, make_params(strategy="full").train, None, steps=10)
    trained = {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"language_model"}


def test_the_positions_before_the_first_of_roberta_are_not_its_context():
    from transformers import RobertaConfig

    config = RobertaConfig(max_position_embeddings=514)
    check_context(config, 512)
    with pytest.raises(UserError, match="the longest row has 513 tokens, but the base's context"):
        check_context(config, 513)
