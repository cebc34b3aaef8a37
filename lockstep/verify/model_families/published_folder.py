"""Write a model folder as a hub publishes it, with random weights of a fixed seed."""

import json
import tempfile
from pathlib import Path
from typing import Any

from lockstep.verify.model_families import published_layout
from lockstep.verify.model_families.family import Family
from lockstep.verify.model_families.published_tokenizer import write_tokenizer

SEED = 11
"""Seed of all random weights."""


def write_folder(family: Family, folder: Path) -> None:
    """Write the published folder of a family."""
    folder.mkdir(parents=True)
    vocabulary = write_tokenizer(family, folder)
    config = _set_vocabulary(_resolve_tokens(family.config, vocabulary), len(vocabulary))
    _write_json(folder / "config.json", config)
    if family.generation is not None:
        generation = _resolve_tokens(family.generation, vocabulary)
        _write_json(folder / "generation_config.json", generation)
    settings, template = dict(family.tokenizer.settings), family.read_template()
    if template and family.has_template_file:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    elif template:
        settings["chat_template"] = template
    _write_json(folder / "tokenizer_config.json", settings)
    if family.tokenizer.roles:
        _write_json(folder / "special_tokens_map.json", family.tokenizer.roles)
    for name in family.files:
        if not (folder / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"not read\n")
    _write_weights(published_layout.arrange(family, _build_tensors(family, config)), family, folder)


def _resolve_tokens(value: Any, vocabulary: dict[str, int], key: str = "") -> Any:
    """Replace tokens by their ids in the values of keys that hold token ids, at any depth."""
    if isinstance(value, dict):
        return {name: _resolve_tokens(inner, vocabulary, name) for name, inner in value.items()}
    if not key.endswith(("token_id", "token_index")):
        return value
    if isinstance(value, list):
        return [vocabulary[token] for token in value]
    return vocabulary[value] if isinstance(value, str) else value


def _set_vocabulary(config: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Add the size of the embedding, a multiple of 8, to config.json or its text_config."""
    size = -(-tokens // 8) * 8
    text = config.get("text_config", config)
    text["vocab_size"] = size
    if "hidden_size_per_layer_input" in text:
        text["vocab_size_per_layer_input"] = size
    return config


def _build_tensors(family: Family, config: dict[str, Any]) -> dict[str, Any]:
    """Return the random weights of the family's class as transformers saves them."""
    import torch
    import transformers
    from safetensors.torch import load_file

    values = {key: value for key, value in config.items() if key != "quantization_config"}
    name = family.model_class or config["architectures"][0]
    torch.manual_seed(SEED)
    config_class = transformers.CONFIG_MAPPING[config["model_type"]]
    model = getattr(transformers, name)(config_class.from_dict(json.loads(json.dumps(values))))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(family.weight_scale)
    text = config.get("text_config", config)
    published = config.get("torch_dtype") or config.get("dtype") or text.get("dtype", "float32")
    with tempfile.TemporaryDirectory() as scratch:
        model.to(getattr(torch, published)).save_pretrained(scratch)
        return load_file(Path(scratch) / "model.safetensors")


def _write_weights(tensors: dict[str, Any], family: Family, folder: Path) -> None:
    """Write one file of weights, or several with their index."""
    from safetensors.torch import save_file

    if family.shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return
    names, shards, index = sorted(tensors), family.shards, {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[number::shards]}
        save_file(part, folder / file, {"format": "pt"})
        index.update(dict.fromkeys(part, file))
    size = sum(tensor.nbytes for tensor in tensors.values())
    values = {"metadata": {"total_size": size}, "weight_map": index}
    _write_json(folder / "model.safetensors.index.json", values)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
