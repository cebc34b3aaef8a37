"""The families GPT-2, gpt-oss and Falcon, as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    ORIGINAL,
    PAGES,
    PICKLES,
    UNLIMITED,
    build_config,
    build_greedy,
    build_sampling,
)

GPT_OSS_CONFIG = build_config(
    "GptOssForCausalLM", "gpt_oss", "4.55.0.dev0",
    attention_bias=True, eos_token_id="<|return|>", experts_per_token=2, head_dim=32,
    initial_context_length=4096, layer_types=["sliding_attention", "full_attention"],
    max_position_embeddings=131072, num_experts_per_tok=2, num_local_experts=4,
    output_router_logits=False, pad_token_id="<|endoftext|>", rms_norm_eps=1e-5,
    rope_scaling={
        "beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0,
        "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": False,
    },
    rope_theta=150000, router_aux_loss_coef=0.9, sliding_window=16, swiglu_limit=7.0,
)  # fmt: skip
GPT_OSS_ROLES = {
    "bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>",
}  # fmt: skip
GPT_OSS: dict[str, Any] = {
    "tokenizer": TokenizerFacts(
        kind="byte_bpe",
        last_tokens=(
            "<|startoftext|>", "<|endoftext|>", "<|reserved_200000|>", "<|return|>",
            "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>",
        ),
        roles=GPT_OSS_ROLES,
        settings=GPT_OSS_ROLES | {
            "clean_up_tokenization_spaces": False, "extra_special_tokens": {},
            "model_input_names": ["input_ids", "attention_mask"], "model_max_length": UNLIMITED,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    ),
    "generation": build_sampling(
        "4.55.0.dev0", bos_token_id="<|startoftext|>",
        eos_token_id=["<|return|>", "<|endoftext|>", "<|call|>"], pad_token_id="<|endoftext|>",
    ),
    "template": "gptoss",
    "answer_mark": "<|message|>",
    "has_template_file": True,
    "files": (*PAGES, *ORIGINAL),
}  # fmt: skip

FAMILIES = [
    Family(
        name="gpt2-medium",
        config={
            "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.1, "bos_token_id": "<|endoftext|>", "embd_pdrop": 0.1,
            "eos_token_id": "<|endoftext|>", "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-5, "model_type": "gpt2", "n_ctx": 256, "n_embd": 64,
            "n_head": 4, "n_layer": 2, "n_positions": 256, "n_special": 0,
            "predict_special_tokens": True, "resid_pdrop": 0.1, "summary_activation": None,
            "summary_first_dropout": 0.1, "summary_proj_to_labels": True,
            "summary_type": "cls_index", "summary_use_proj": True,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        },
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=("<|endoftext|>",),
            settings={"model_max_length": 1024},
        ),
        generation=build_greedy(
            "4.26.0.dev0", bos_token_id="<|endoftext|>", eos_token_id="<|endoftext|>"
        ),
        objective="text",
        files=(*PAGES, *PICKLES, "merges.txt", "vocab.json"),
    ),
    Family(name="gpt-oss-20b-bf16", config=GPT_OSS_CONFIG, **GPT_OSS),
    Family(
        name="gpt-oss-20b-mxfp4",
        config=GPT_OSS_CONFIG | {
            "quantization_config": {
                "modules_to_not_convert": [
                    "model.layers.*.self_attn", "model.layers.*.mlp.router",
                    "model.embed_tokens", "lm_head",
                ],
                "quant_method": "mxfp4",
            },
        },
        **GPT_OSS,
    ),
    Family(
        name="falcon-7b-instruct",
        config={
            "alibi": False, "apply_residual_connection_post_layernorm": False,
            "architectures": ["FalconForCausalLM"], "attention_dropout": 0.0,
            "auto_map": {
                "AutoConfig": "configuration_falcon.FalconConfig",
                "AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM",
            },
            "bias": False, "bos_token_id": "<|endoftext|>", "eos_token_id": "<|endoftext|>",
            "hidden_dropout": 0.0, "hidden_size": 64, "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-5, "model_type": "falcon", "multi_query": True,
            "new_decoder_architecture": False, "num_attention_heads": 4, "num_hidden_layers": 2,
            "parallel_attn": True, "torch_dtype": "bfloat16", "transformers_version": "4.27.4",
            "use_cache": True,
        },
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=(">>TITLE<<", ">>QUESTION<<", ">>ANSWER<<", "<|endoftext|>"),
            roles={"eos_token": "<|endoftext|>"},
            settings={
                "add_prefix_space": False, "eos_token": "<|endoftext|>",
                "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 2048,
                "special_tokens_map_file": None, "tokenizer_class": "PreTrainedTokenizerFast",
            },
        ),
        generation=build_greedy(
            "4.33.0.dev0", bos_token_id="<|endoftext|>", eos_token_id="<|endoftext|>"
        ),
        template="falcon",
        files=(*PAGES, *PICKLES, "configuration_falcon.py", "modeling_falcon.py"),
    ),
]  # fmt: skip
