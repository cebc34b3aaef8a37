"""The families Qwen and DeepSeek R1 (distilled into Qwen), as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    OMITTED,
    PAGES,
    PICKLES,
    build_config,
    build_greedy,
    build_sampling,
)

QWEN_TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
QWEN_TEXT_TOKENS = (
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip


def build_qwen_tokenizer(max_length: int = 131072, **settings: Any) -> TokenizerFacts:
    """Return the tokenizer of Qwen 2.5 and 3."""
    roles = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return TokenizerFacts(
        kind="byte_bpe",
        last_tokens=("<|endoftext|>", *QWEN_TOKENS),
        text_tokens=QWEN_TEXT_TOKENS,
        roles=roles,
        settings=roles
        | {
            "add_bos_token": False,
            "add_prefix_space": False,
            "additional_special_tokens": QWEN_TOKENS,
            "bos_token": None,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": max_length,
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        }
        | settings,
    )


def build_qwen3_config(architecture: str, model_type: str, **keys: Any) -> dict[str, Any]:
    """Return config.json of a Qwen 3 model."""
    return build_config(
        architecture, model_type, "4.51.0",
        bos_token_id="<|endoftext|>", eos_token_id="<|im_end|>", head_dim=32,
        max_position_embeddings=40960, max_window_layers=28, rope_scaling=None,
        rope_theta=1000000, sliding_window=None, use_sliding_window=False, **keys,
    )  # fmt: skip


def build_qwen_generation(version: str, **keys: Any) -> dict[str, Any]:
    """Return generation_config.json of a Qwen model."""
    return build_sampling(
        version, bos_token_id="<|endoftext|>", eos_token_id=["<|im_end|>", "<|endoftext|>"],
        pad_token_id="<|endoftext|>",
        **{"temperature": 0.6, "top_k": 20, "top_p": 0.95} | keys,
    )  # fmt: skip


FAMILIES = [
    Family(
        name="qwen2.5-0.5b",
        config=build_config(
            "Qwen2ForCausalLM", "qwen2", "4.43.1",
            attention_bias=OMITTED, bos_token_id="<|endoftext|>", eos_token_id="<|im_end|>",
            max_position_embeddings=32768, max_window_layers=21, rope_theta=1000000.0,
            sliding_window=32768, tie_word_embeddings=True, use_sliding_window=False,
        ),
        tokenizer=build_qwen_tokenizer(),
        generation=build_qwen_generation(
            "4.37.0", repetition_penalty=1.1, temperature=0.7, top_p=0.8
        ),
        template="qwen2_5",
        files=(*PAGES, *PICKLES),
    ),
    Family(
        name="qwen3-8b",
        config=build_qwen3_config("Qwen3ForCausalLM", "qwen3", tie_word_embeddings=True),
        tokenizer=build_qwen_tokenizer(),
        generation=build_qwen_generation("4.51.0"),
        template="qwen3",
        answer_mark="</think>",
        files=PAGES,
    ),
    Family(
        name="qwen3-30b-a3b-instruct-2507",
        config=build_qwen3_config(
            "Qwen3MoeForCausalLM", "qwen3_moe",
            decoder_sparse_step=1, mlp_only_layers=[], moe_intermediate_size=32,
            norm_topk_prob=True, num_experts=8, num_experts_per_tok=2,
            output_router_logits=False, router_aux_loss_coef=0.001,
        ),
        tokenizer=build_qwen_tokenizer(),
        generation=build_qwen_generation("4.51.0"),
        template="qwen3_instruct_2507",
        has_template_file=True,
        files=PAGES,
    ),
    Family(
        name="qwen3.5-0.8b",
        config={
            "architectures": ["Qwen3_5ForConditionalGeneration"],
            "image_token_id": "<|image_pad|>",
            "model_type": "qwen3_5",
            "text_config": {
                "attention_bias": False, "attention_dropout": 0.0, "attn_output_gate": True,
                "dtype": "bfloat16", "eos_token_id": "<|endoftext|>",
                "full_attention_interval": 4, "head_dim": 32, "hidden_act": "silu",
                "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 128,
                "layer_types": [*["linear_attention"] * 3, "full_attention"],
                "linear_conv_kernel_dim": 4, "linear_key_head_dim": 16,
                "linear_num_key_heads": 2, "linear_num_value_heads": 4,
                "linear_value_head_dim": 16, "mamba_ssm_dtype": "float32",
                "max_position_embeddings": 262144, "mlp_only_layers": [],
                "model_type": "qwen3_5_text", "mtp_num_hidden_layers": 1,
                "mtp_use_dedicated_embeddings": False, "num_attention_heads": 4,
                "num_hidden_layers": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
                "rope_parameters": {
                    "mrope_interleaved": True, "mrope_section": [2, 1, 1],
                    "partial_rotary_factor": 0.25, "rope_theta": 10000000,
                    "rope_type": "default",
                },
                "tie_word_embeddings": True, "use_cache": True,
            },
            "tie_word_embeddings": True,
            "transformers_version": "4.57.0.dev0",
            "video_token_id": "<|video_pad|>",
            "vision_config": {
                "deepstack_visual_indexes": [], "depth": 2, "hidden_act": "gelu_pytorch_tanh",
                "hidden_size": 32, "in_channels": 3, "initializer_range": 0.02,
                "intermediate_size": 64, "model_type": "qwen3_5", "num_heads": 2,
                "num_position_embeddings": 16, "out_hidden_size": 64, "patch_size": 16,
                "spatial_merge_size": 2, "temporal_patch_size": 2,
            },
            "vision_end_token_id": "<|vision_end|>",
            "vision_start_token_id": "<|vision_start|>",
        },
        tokenizer=build_qwen_tokenizer(262144, processor_class="Qwen3VLProcessor"),
        generation=build_qwen_generation("4.57.0.dev0"),
        template="qwen3_5_nothink",
        answer_mark="</think>",
        has_template_file=True,
        files=PAGES,
    ),
    Family(
        name="deepseek-r1-distill-qwen-1.5b",
        config=build_config(
            "Qwen2ForCausalLM", "qwen2", "4.44.0",
            attention_bias=OMITTED, bos_token_id="<｜end▁of▁sentence｜>",
            eos_token_id="<｜end▁of▁sentence｜>", max_position_embeddings=131072,
            max_window_layers=21, rope_theta=10000, sliding_window=4096, use_mrope=False,
            use_sliding_window=False,
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"),
            text_tokens=(
                "<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<think>", "</think>",
                "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
                "<｜tool▁call▁end｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>",
                "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁sep｜>",
            ),
            prefix=("<｜begin▁of▁sentence｜>",),
            roles={
                "bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>",
                "pad_token": "<｜end▁of▁sentence｜>",
            },
            settings={
                "add_bos_token": True, "add_eos_token": False,
                "bos_token": {
                    "__type": "AddedToken", "content": "<｜begin▁of▁sentence｜>",
                    "lstrip": False, "normalized": True, "rstrip": False, "single_word": False,
                },
                "clean_up_tokenization_spaces": False,
                "eos_token": {
                    "__type": "AddedToken", "content": "<｜end▁of▁sentence｜>",
                    "lstrip": False, "normalized": True, "rstrip": False, "single_word": False,
                },
                "legacy": True, "model_max_length": 16384,
                "pad_token": {
                    "__type": "AddedToken", "content": "<｜end▁of▁sentence｜>",
                    "lstrip": False, "normalized": True, "rstrip": False, "single_word": False,
                },
                "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizerFast",
                "unk_token": None,
            },
        ),
        generation=build_greedy(
            "4.39.3", bos_token_id="<｜begin▁of▁sentence｜>", do_sample=True,
            eos_token_id="<｜end▁of▁sentence｜>", temperature=0.6, top_p=0.95,
        ),
        template="deepseek_r1_distill",
        answer_mark="</think>",
        files=PAGES,
    ),
]  # fmt: skip
