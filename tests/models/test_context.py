"""The context of a model is the longest input that it reads."""

from typing import Any

import pytest

from lockstep.models.context import OFFSET_POSITIONS, read_context

SIZES = {
    "vocab_size": 20, "hidden_size": 24, "intermediate_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 1, "max_position_embeddings": 16, "pad_token_id": 1,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "esm": {"position_embedding_type": "absolute", "mask_token_id": 2},
    "longformer": {"attention_window": [4]},
    "luke": {"entity_vocab_size": 4, "entity_emb_size": 4},
    "markuplm": {"xpath_unit_hidden_size": 4, "max_depth": 2},
    "xmod": {"languages": ["en"], "default_language": "en", "adapter_reduction_factor": 1},
}


@pytest.mark.parametrize("model_type", [*OFFSET_POSITIONS, "bert", "gpt2", "albert"])
def test_a_model_reads_its_context_and_no_token_more(model_type: str):
    import torch
    from transformers import CONFIG_MAPPING, AutoModel

    config: Any = CONFIG_MAPPING[model_type](**SIZES, **OPTIONS.get(model_type, {}))
    model: Any = AutoModel.from_config(config).eval()
    context = read_context(config)
    assert context == (14 if model_type in OFFSET_POSITIONS else 16)
    model(torch.full((1, context), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, context + 1), 5))


def test_a_model_with_relative_positions_has_no_limit():
    from transformers import T5Config, XLNetConfig

    assert read_context(XLNetConfig()) is None
    assert read_context(T5Config()) is None


def test_the_context_of_a_multi_modal_model_is_that_of_its_text():
    from transformers import Gemma3Config

    assert read_context(Gemma3Config(text_config={"max_position_embeddings": 99})) == 99
