"""Keys that the published folders of several families have in common."""

from typing import Any

UNLIMITED = 1000000000000000019884624838656
"""`model_max_length` of tokenizers that state none."""

PAGES = (".gitattributes", "LICENSE", "README.md")
"""Files about the repository that every folder has."""
PICKLES = ("pytorch_model.bin",)
"""Weights in pickles beside safetensors."""
OTHER_FRAMEWORKS = (*PICKLES, "flax_model.msgpack", "tf_model.h5")
"""Weights of older repositories for several frameworks."""
ORIGINAL = ("original/consolidated.00.pth", "original/params.json")
"""Weights in the format of the family's own code."""


def build_config(architecture: str, model_type: str, version: str, **keys: Any) -> dict[str, Any]:
    """Return config.json of a Llama-like model of two layers; a key that is None is left out."""
    values: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": model_type,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": version,
        "use_cache": True,
    } | keys
    return {key: value for key, value in values.items() if value is not OMITTED}


OMITTED = object()
"""Value of a key that a family does not have."""


def build_encoder_config(architecture: str, model_type: str, **keys: Any) -> dict[str, Any]:
    """Return config.json of a BERT-like encoder of two layers."""
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "type_vocab_size": 2,
    } | keys


def build_sampling(version: str, **keys: Any) -> dict[str, Any]:
    """Return generation_config.json of a model whose default is to sample."""
    return {"do_sample": True, "transformers_version": version} | keys


def build_greedy(version: str, **keys: Any) -> dict[str, Any]:
    """Return generation_config.json as transformers derives it from config.json."""
    return {"_from_model_config": True, "transformers_version": version} | keys
