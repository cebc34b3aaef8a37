"""The families Gemma 2, 3 and 4, as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    OMITTED,
    PAGES,
    UNLIMITED,
    build_config,
    build_greedy,
    build_sampling,
)

GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
GEMMA_ROLES = {
    "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
}  # fmt: skip
GEMMA_ENDS = ["<eos>", "<end_of_turn>"]


def build_gemma_tokenizer(last_tokens: tuple[str, ...], **settings: Any) -> TokenizerFacts:
    """Return the tokenizer of a Gemma model."""
    return TokenizerFacts(
        kind="gemma_bpe",
        first_tokens=GEMMA_TOKENS,
        last_tokens=last_tokens,
        prefix=("<bos>",),
        roles=GEMMA_ROLES,
        settings=GEMMA_ROLES
        | {"model_max_length": UNLIMITED, "tokenizer_class": "GemmaTokenizer"}
        | settings,
    )


GEMMA_2_SETTINGS: dict[str, Any] = {
    "add_bos_token": True, "add_eos_token": False,
    "additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"],
    "clean_up_tokenization_spaces": False, "sp_model_kwargs": {},
    "spaces_between_special_tokens": False, "use_default_system_prompt": False,
}  # fmt: skip
GEMMA_3_TOKENIZER = build_gemma_tokenizer(
    (
        "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
        "<image_soft_token>",
    ),
    **GEMMA_2_SETTINGS,
    boi_token="<start_of_image>",
    eoi_token="<end_of_image>",
    extra_special_tokens={
        "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    },
    image_token="<image_soft_token>",
    processor_class="Gemma3Processor",
)  # fmt: skip
GEMMA_3_GENERATION = build_sampling(
    "4.50.0.dev0", bos_token_id="<bos>", cache_implementation="hybrid", eos_token_id=GEMMA_ENDS,
    pad_token_id="<pad>", top_k=64, top_p=0.95,
)  # fmt: skip

FAMILIES = [
    Family(
        name="gemma-2-2b-it",
        config=build_config(
            "Gemma2ForCausalLM", "gemma2", "4.42.4",
            attn_logit_softcapping=50.0, bos_token_id="<bos>", cache_implementation="hybrid",
            eos_token_id=GEMMA_ENDS, final_logit_softcapping=30.0, head_dim=32,
            hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
            max_position_embeddings=8192, pad_token_id="<pad>", query_pre_attn_scalar=32,
            rope_theta=10000.0, sliding_window=16, tie_word_embeddings=OMITTED,
        ),
        tokenizer=build_gemma_tokenizer(
            ("<start_of_turn>", "<end_of_turn>"), **GEMMA_2_SETTINGS
        ),
        generation=build_greedy(
            "4.42.4", bos_token_id="<bos>", cache_implementation="hybrid",
            eos_token_id=GEMMA_ENDS, pad_token_id="<pad>",
        ),
        template="gemma",
        files=PAGES,
    ),
    Family(
        name="gemma-3-1b-it",
        config=build_config(
            "Gemma3ForCausalLM", "gemma3_text", "4.50.0.dev0",
            attn_logit_softcapping=None, bos_token_id="<bos>", cache_implementation="hybrid",
            eos_token_id=GEMMA_ENDS, final_logit_softcapping=None, head_dim=32,
            hidden_act=OMITTED, hidden_activation="gelu_pytorch_tanh",
            max_position_embeddings=32768, num_hidden_layers=6, num_key_value_heads=1,
            pad_token_id="<pad>", query_pre_attn_scalar=32, rope_local_base_freq=10000,
            rope_scaling=None, rope_theta=1000000, sliding_window=16, sliding_window_pattern=6,
            tie_word_embeddings=OMITTED,
        ),
        tokenizer=GEMMA_3_TOKENIZER,
        generation=GEMMA_3_GENERATION,
        template="gemma3",
        files=PAGES,
    ),
    Family(
        name="gemma-3-4b-it",
        config={
            "architectures": ["Gemma3ForConditionalGeneration"],
            "boi_token_index": "<start_of_image>",
            "eoi_token_index": "<end_of_image>",
            "eos_token_id": GEMMA_ENDS,
            "image_token_index": "<image_soft_token>",
            "initializer_range": 0.02,
            "mm_tokens_per_image": 4,
            "model_type": "gemma3",
            "text_config": {
                "head_dim": 32, "hidden_size": 64, "intermediate_size": 128,
                "model_type": "gemma3_text", "num_attention_heads": 4, "num_hidden_layers": 6,
                "num_key_value_heads": 2, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 16,
            },
            "torch_dtype": "bfloat16",
            "transformers_version": "4.50.0.dev0",
            "vision_config": {
                "hidden_size": 32, "image_size": 56, "intermediate_size": 64,
                "model_type": "siglip_vision_model", "num_attention_heads": 2,
                "num_hidden_layers": 2, "patch_size": 14, "vision_use_head": False,
            },
        },
        tokenizer=GEMMA_3_TOKENIZER,
        generation=GEMMA_3_GENERATION,
        template="gemma3",
        files=PAGES,
    ),
    Family(
        name="gemma-4-e2b-it",
        config={
            "architectures": ["Gemma4ForConditionalGeneration"],
            "audio_config": None,
            "boi_token_id": "<|image>",
            "dtype": "bfloat16",
            "eoi_token_id": "<image|>",
            "eos_token_id": ["<eos>", "<turn|>"],
            "image_token_id": "<|image|>",
            "initializer_range": 0.02,
            "model_type": "gemma4",
            "text_config": {
                "attention_bias": False, "attention_dropout": 0.0, "attention_k_eq_v": False,
                "bos_token_id": "<bos>", "dtype": "bfloat16", "enable_moe_block": False,
                "eos_token_id": "<eos>", "final_logit_softcapping": 30.0, "global_head_dim": 32,
                "head_dim": 16, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 64,
                "hidden_size_per_layer_input": 16, "initializer_range": 0.02,
                "intermediate_size": 128,
                "layer_types": [*["sliding_attention"] * 4, "full_attention"] * 2,
                "max_position_embeddings": 131072, "model_type": "gemma4_text",
                "moe_intermediate_size": None, "num_attention_heads": 4, "num_experts": None,
                "num_global_key_value_heads": None, "num_hidden_layers": 10,
                "num_key_value_heads": 1, "num_kv_shared_layers": 4, "pad_token_id": "<pad>",
                "rms_norm_eps": 1e-6,
                "rope_parameters": {
                    "full_attention": {
                        "partial_rotary_factor": 0.25, "rope_theta": 1000000.0,
                        "rope_type": "proportional",
                    },
                    "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
                },
                "sliding_window": 16, "tie_word_embeddings": True, "top_k_experts": None,
                "use_bidirectional_attention": None, "use_cache": True,
                "use_double_wide_mlp": True,
            },
            "tie_word_embeddings": True,
            "transformers_version": "5.5.0.dev0",
            "vision_config": None,
        },
        tokenizer=build_gemma_tokenizer(
            (
                "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|image>", "<image|>",
                "<|image|>", "<|audio|>", "<|video|>", "<|tool_call>", "<tool_call|>",
                "<|tool_response>", "<tool_response|>", "<|think|>",
            ),
            audio_token="<|audio|>", extra_special_tokens=["<|video|>"], image_token="<|image|>",
            mask_token="<mask>", padding_side="left", processor_class="Gemma4Processor",
        ),
        generation=build_sampling(
            "5.5.0.dev0", bos_token_id="<bos>",
            eos_token_id=["<eos>", "<turn|>", "<|tool_response>"], pad_token_id="<pad>",
            temperature=1.0, top_k=64, top_p=0.95,
        ),
        template="gemma4_v5",
        has_template_file=True,
        files=PAGES,
    ),
]  # fmt: skip
