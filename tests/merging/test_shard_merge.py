"""Shards hold the bytes that PEFT and transformers write for the whole model."""

import json
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.merging import shard_merge, skeleton
from lockstep.merging.layer_differences import LayerDifferences
from lockstep.merging.shard_merge import NotShardableError, Source
from lockstep.models import loading
from lockstep.models.heads import Head

SHARD_GB = 5e-5
"""Maximum size of a shard, which divides the tiny models into several."""

LINEAR = {"target_modules": "all-linear"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("LoraConfig", {**LINEAR, "r": 4}),
    "rslora": ("LoraConfig", {**LINEAR, "r": 4, "use_rslora": True}),
    "dora": ("LoraConfig", {**LINEAR, "r": 4, "use_dora": True}),
    "embeddings": ("LoraConfig", {"target_modules": ["embed_tokens", "lm_head", "q_proj"], "r": 4}),
    "bias": ("LoraConfig", {**LINEAR, "r": 4, "bias": "all"}),
    "lora_bias": ("LoraConfig", {"target_modules": ["q_proj"], "r": 4, "lora_bias": True}),
    "whole layers": ("LoraConfig", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    "tokens": ("LoraConfig", {**LINEAR, "trainable_token_indices": [3, 5]}),
    "trainable_tokens": ("TrainableTokensConfig", {"token_indices": [3, 5]}),
    "adalora": ("AdaLoraConfig", {**LINEAR, "init_r": 4, "target_r": 2, "total_step": 9}),
    "loha": ("LoHaConfig", {**LINEAR, "r": 4}),
    "lokr": ("LoKrConfig", {**LINEAR, "r": 4}),
    "ia3": ("IA3Config", {}),
    "vera": ("VeraConfig", {"target_modules": ["q_proj"], "r": 4}),
    "boft": ("BOFTConfig", {**LINEAR, "boft_block_size": 4}),
    "oft": ("OFTConfig", {**LINEAR, "oft_block_size": 4}),
    "peanut": ("PeanutConfig", {**LINEAR, "r": 4, "depth": 1}),
}
"""Class and options of PEFT's configuration, by name."""


@pytest.fixture(scope="session")
def untied_base(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Folder of the tiny model in bf16, in several shards, with an output layer of its own."""
    import torch

    folder = tmp_path_factory.mktemp("untied") / "base"
    model = loading.load_model(tiny_model, "bfloat16", "eager", "cpu")
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 0.5)
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder, max_shard_size="60KB")
    return folder


def save_adapter(base: Path, folder: Path, kind: str, head: Head | None = None) -> Path:
    """Write an adapter with random weights."""
    import peft
    import torch

    torch.manual_seed(0)
    name, options = KINDS[kind]
    config = getattr(peft, name)(task_type="SEQ_CLS" if head else "CAUSAL_LM", **options)
    model = peft.get_peft_model(
        loading.load_model(base, "float32", "eager", "cpu", head=head), config
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return folder


def merge_whole(base: Path, adapter: Path, out: Path, head: Head | None = None) -> None:
    """Merge as PEFT's documentation does, in 32 bits, and save in the base's precision."""
    from peft import PeftModel

    model = loading.load_model(base, "auto", "eager", "cpu", head=head)
    dtype = model.dtype
    merged = PeftModel.from_pretrained(model.float(), adapter).merge_and_unload(safe_merge=True)
    merged.to(dtype).save_pretrained(out, max_shard_size=f"{SHARD_GB}GB")


def merge_shards(base: Path, adapter: Path, out: Path, head: Head | None = None) -> None:
    out.mkdir()
    model = skeleton.load_meta_model(base, "auto", "eager", head)
    shard_merge.write_shards(Source(base, model, adapter), out, SHARD_GB)


def assert_equal_weights(folder: Path, expected: Path) -> None:
    """Assert that two folders hold the same weight files, byte for byte."""
    names = sorted(path.name for path in expected.iterdir() if "model" in path.name)
    assert names == sorted(path.name for path in folder.iterdir() if "model" in path.name)
    assert len(names) > 2, "the model should be divided into shards"
    for name in names:
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name


def read_tensors(folder: Path) -> dict[str, Any]:
    """Return the tensors of all weight files in a folder."""
    from safetensors.torch import load_file

    files = [load_file(path) for path in folder.glob("*.safetensors")]
    return {name: tensor for tensors in files for name, tensor in tensors.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_shards_are_those_of_the_whole_model(untied_base: Path, tmp_path: Path, kind: str):
    adapter = save_adapter(untied_base, tmp_path / "adapter", kind)
    merge_whole(untied_base, adapter, tmp_path / "whole")
    merge_shards(untied_base, adapter, tmp_path / "shards")
    assert_equal_weights(tmp_path / "shards", tmp_path / "whole")


def write_experts(folder: Path) -> None:
    """Write a mixture in bf16, whose files hold each expert separately and the model fuses."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, head_dim=16,
        num_key_value_heads=1, intermediate_size=32, moe_intermediate_size=16, num_experts=4,
        num_experts_per_tok=2,
    )  # fmt: skip
    Qwen3MoeForCausalLM(config).bfloat16().save_pretrained(folder, max_shard_size="20KB")


def write_gpt2(folder: Path) -> None:
    """Write a GPT-2 as OpenAI published it: transposed matrices, names without a prefix."""
    from safetensors.torch import load_file, save_file
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    named = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    named["h.0.attn.bias"] = named["wpe.weight"].new_ones(1, 1, 64, 64)  # the model ignores it
    save_file(named, folder / "model.safetensors", {"format": "pt"})


def write_t5(folder: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=64, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(folder)


FAMILIES: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "experts": (
        write_experts,
        {
            "target_modules": ["q_proj"],
            "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        },
    ),
    "gpt2": (write_gpt2, {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "t5": (write_t5, {"target_modules": ["q", "wo"]}),
}
"""Function that writes a base, and options of LoRA, by architecture."""


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_forms_of_other_architectures_survive(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
):
    import torch

    torch.manual_seed(0)
    write, options = FAMILIES[family]
    write(tmp_path / "base")
    monkeypatch.setitem(KINDS, family, ("LoraConfig", {"r": 4, **options}))
    adapter = save_adapter(tmp_path / "base", tmp_path / "adapter", family)
    merge_whole(tmp_path / "base", adapter, tmp_path / "whole")
    merge_shards(tmp_path / "base", adapter, tmp_path / "shards")
    tensors, expected = read_tensors(tmp_path / "shards"), read_tensors(tmp_path / "whole")
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    index = json.loads((tmp_path / "shards/model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == expected.keys()
    shards = [path.stat().st_size for path in (tmp_path / "shards").glob("*.safetensors")]
    assert sum(shards) > max(shards) < SHARD_GB * 1e9 + 5000  # transformers exceeds it for experts


def test_a_head_that_the_base_lacks_comes_from_the_adapter(untied_base: Path, tmp_path: Path):
    head = Head("single_label_classification", ["refund", "track", "other"])
    adapter = save_adapter(untied_base, tmp_path / "adapter", "lora", head)
    merge_whole(untied_base, adapter, tmp_path / "whole", head)
    merge_shards(untied_base, adapter, tmp_path / "shards", head)
    assert_equal_weights(tmp_path / "shards", tmp_path / "whole")


@pytest.mark.parametrize("kind", ["lora", "tokens"])
def test_tied_embeddings_are_written_once(tiny_model: Path, tmp_path: Path, kind: str):
    adapter = save_adapter(tiny_model, tmp_path / "adapter", kind)
    merge_whole(tiny_model, adapter, tmp_path / "whole")
    merge_shards(tiny_model, adapter, tmp_path / "shards")
    assert_equal_weights(tmp_path / "shards", tmp_path / "whole")


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_an_output_layer_in_the_files_is_tied_only_if_it_equals_the_embeddings(
    untied_base: Path, tmp_path: Path, factor: float
):
    from safetensors.torch import load_file, save_file

    base = shutil.copytree(untied_base, tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    index = json.loads((base / "model.safetensors.index.json").read_text())["weight_map"]
    embeddings = load_file(base / index["model.embed_tokens.weight"])["model.embed_tokens.weight"]
    tensors = load_file(base / index["lm_head.weight"])
    tensors["lm_head.weight"] = (embeddings * factor).clone()
    save_file(tensors, base / index["lm_head.weight"], metadata={"format": "pt"})
    adapter = save_adapter(base, tmp_path / "adapter", "lora")
    merge_whole(base, adapter, tmp_path / "whole")
    merge_shards(base, adapter, tmp_path / "shards")
    assert_equal_weights(tmp_path / "shards", tmp_path / "whole")
    assert ("lm_head.weight" in read_tensors(tmp_path / "shards")) == (factor != 1.0)


WHOLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "prompt": ("PromptTuningConfig", {"num_virtual_tokens": 2}, "soft prompt"),
    "tied": (
        "LoraConfig",
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        "lm_head shares its weights",
    ),
}
"""Adapters that need the whole model, with the reason."""


@pytest.mark.parametrize("kind", WHOLE)
def test_an_adapter_that_needs_the_whole_model_is_left_to_it(
    tiny_model: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(KINDS, kind, WHOLE[kind][:2])
    adapter = save_adapter(tiny_model, tmp_path / "adapter", kind)
    with pytest.raises(NotShardableError, match=WHOLE[kind][2]):
        merge_shards(tiny_model, adapter, tmp_path / "shards")
    assert not list((tmp_path / "shards").iterdir())


def test_a_merge_by_layers_compares_the_outputs_of_each_layer(untied_base: Path, tmp_path: Path):
    adapter = save_adapter(untied_base, tmp_path / "adapter", "dora")
    model = skeleton.load_meta_model(untied_base, "auto", "eager", None)
    differences = LayerDifferences()
    shard_merge.write_shards(Source(untied_base, model, adapter, differences), tmp_path, SHARD_GB)
    assert differences.layers == 14  # seven linear layers in each of two blocks
    assert 0 < differences.merging < 1e-5
    assert differences.cast > 1e-3  # bf16 rounds


def test_a_layer_that_merges_wrongly_is_found():
    import torch

    layer, differences = torch.nn.Linear(8, 4), LayerDifferences()
    inputs = torch.randn(3, 8)
    expected = layer(inputs).detach()
    with torch.no_grad():
        layer.weight[0, 0] += 0.5
    differences.add(expected, layer, inputs, torch.float32)
    assert differences.merging > 0.01
    differences.add(expected * float("nan"), layer, inputs, torch.float32)
    assert math.isnan(differences.merging)


def test_a_disk_that_is_too_small_is_an_error_before_anything_is_written(
    untied_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    adapter = save_adapter(untied_base, tmp_path / "adapter", "lora")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"need \d{3},\d{3} bytes, and 1,000 are free"):
        merge_shards(untied_base, adapter, tmp_path / "shards")
    assert not list((tmp_path / "shards").iterdir())


def test_nan_in_the_base_is_an_error_that_names_the_tensor(untied_base: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    adapter = save_adapter(untied_base, tmp_path / "adapter", "lora")
    base = shutil.copytree(untied_base, tmp_path / "base")
    path = sorted(base.glob("*.safetensors"))[-1]
    tensors = load_file(path)
    name = max(tensors, key=lambda name: tensors[name].ndim)
    tensors[name][0, 0] = float("nan")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match=f"base: {name} holds NaN"):
        merge_shards(base, adapter, tmp_path / "shards")


def test_a_truncated_shard_of_the_base_is_an_error(untied_base: Path, tmp_path: Path):
    adapter = save_adapter(untied_base, tmp_path / "adapter", "lora")
    base = shutil.copytree(untied_base, tmp_path / "base")
    path = sorted(base.glob("*.safetensors"))[-1]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"base: the model does not load .*download its files"):
        merge_shards(base, adapter, tmp_path / "shards")


def test_a_kill_between_two_shards_leaves_no_output(untied_base: Path, tmp_path: Path):
    adapter = save_adapter(untied_base, tmp_path / "adapter", "lora")
    model = skeleton.load_meta_model(untied_base, "auto", "eager", None)
    out = tmp_path / "merged"

    def merge() -> None:
        with outputs.atomic_folder(out) as partial:
            shard_merge.write_shards(Source(untied_base, model, adapter), partial, SHARD_GB)

    def merge_until_killed() -> None:
        save_file = safetensors.torch.save_file

        def save_once(*arguments: Any, **options: Any) -> None:
            save_file(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        safetensors.torch.save_file = save_once
        merge()

    process = multiprocessing.get_context("fork").Process(target=merge_until_killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not out.exists()
    assert [path.name for path in tmp_path.glob(".merged.partial/*.safetensors")]
    merge()
    merge_whole(untied_base, adapter, tmp_path / "whole")
    assert_equal_weights(out, tmp_path / "whole")
    assert not list(tmp_path.glob(".merged.partial"))


def read_memory(field: str) -> int:
    """Return VmRSS or VmHWM (the peak) of this process in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if field in line)
    return int(line.split()[1]) * 1024


def test_memory_holds_one_shard_and_two_blocks(tiny_model: Path, tmp_path: Path):
    """Merging the whole model would take the 54 MB of its weights at least."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=2000, hidden_size=256, intermediate_size=1024, num_hidden_layers=12,
        num_attention_heads=4, num_key_value_heads=4,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(tmp_path / "base", max_shard_size="5MB")
    weights, block = (
        sum(4 * parameter.numel() for parameter in part.parameters())
        for part in (model, model.model.layers[0])
    )
    assert (weights, block) == (54_490_112, 4_199_424)
    del model
    adapter = save_adapter(tmp_path / "base", tmp_path / "adapter", "lora")
    tiny_adapter = save_adapter(tiny_model, tmp_path / "tiny_adapter", "lora")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def measure() -> None:
        torch.set_num_threads(1)
        merge_shards(tiny_model, tiny_adapter, tmp_path / "tiny")  # imports do not count
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = read_memory("VmRSS")
        (tmp_path / "shards").mkdir()
        model = skeleton.load_meta_model(tmp_path / "base", "auto", "eager", None)
        shard_merge.write_shards(
            Source(tmp_path / "base", model, adapter), tmp_path / "shards", 0.005
        )
        queue.put(read_memory("VmHWM") - before)

    process = context.Process(target=measure)
    process.start()
    growth = queue.get(timeout=60)
    process.join()
    assert growth < 5e6 + 2 * block + 8e6, growth  # 8 MB: the adapter and objects of Python
