"""The families of causal language models, as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    OMITTED,
    ORIGINAL,
    PAGES,
    PICKLES,
    UNLIMITED,
    build_config,
    build_greedy,
    build_sampling,
)

LLAMA_TOKENS = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
)  # fmt: skip
LLAMA_ENDS = ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]


def build_llama_tokenizer(end: str) -> TokenizerFacts:
    """Return the tokenizer of Llama 3, whose eos_token is `end`."""
    roles = {"bos_token": "<|begin_of_text|>", "eos_token": end}
    return TokenizerFacts(
        kind="byte_bpe",
        last_tokens=LLAMA_TOKENS,
        prefix=("<|begin_of_text|>",),
        roles=roles,
        settings=roles
        | {
            "clean_up_tokenization_spaces": True,
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": 131072,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


def build_llama_config(version: str, factor: float, **keys: Any) -> dict[str, Any]:
    """Return config.json of Llama 3.1 or 3.2, whose context is extended by a factor."""
    scaling = {
        "factor": factor,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    }
    return build_config(
        "LlamaForCausalLM", "llama", version,
        bos_token_id="<|begin_of_text|>", eos_token_id=LLAMA_ENDS, max_position_embeddings=131072,
        mlp_bias=False, pretraining_tp=1, rms_norm_eps=1e-5, rope_scaling=scaling,
        rope_theta=500000.0, **keys,
    )  # fmt: skip


LLAMA_GENERATION = build_sampling(
    "4.42.3", bos_token_id="<|begin_of_text|>", eos_token_id=LLAMA_ENDS, temperature=0.6, top_p=0.9
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


def build_mistral_config(version: str, bos: str, eos: str, **keys: Any) -> dict[str, Any]:
    """Return config.json of a Mistral model."""
    return build_config(
        "MistralForCausalLM", "mistral", version,
        attention_bias=OMITTED, bos_token_id=bos, eos_token_id=eos, rms_norm_eps=1e-5,
        rope_theta=1000000.0, sliding_window=None, **keys,
    )  # fmt: skip


FAMILIES = [
    Family(
        name="llama-3.1-8b",
        config=build_llama_config("4.42.3", 8.0),
        tokenizer=build_llama_tokenizer("<|eot_id|>"),
        generation=LLAMA_GENERATION,
        template="llama3_1",
        files=(*PAGES, *ORIGINAL),
    ),
    Family(
        name="llama-3.1-8b-base",
        config=build_llama_config("4.42.3", 8.0),
        tokenizer=build_llama_tokenizer("<|end_of_text|>"),
        generation=LLAMA_GENERATION,
        params={"base": {"chat_template": "chatml"}},
        files=PAGES,
    ),
    Family(
        name="llama-3.2-1b",
        config=build_llama_config("4.45.0.dev0", 32.0, head_dim=16, tie_word_embeddings=True),
        tokenizer=build_llama_tokenizer("<|eot_id|>"),
        generation=LLAMA_GENERATION,
        template="llama3_2",
        files=(*PAGES, *ORIGINAL),
    ),
    Family(
        name="smollm2-135m-instruct",
        config=build_config(
            "LlamaForCausalLM", "llama", "4.42.3",
            bos_token_id="<|im_start|>", eos_token_id="<|im_end|>", pad_token_id="<|im_end|>",
            initializer_range=0.041666666666666664, is_llama_config=True,
            max_position_embeddings=8192, mlp_bias=False, pretraining_tp=1, rms_norm_eps=1e-5,
            rope_interleaved=False, rope_scaling=None, rope_theta=100000,
            tie_word_embeddings=True, **{
                "transformers.js_config": {
                    "kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}
                },
            },
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"),
            roles={
                "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
                "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>",
            },
            settings={
                "add_prefix_space": False,
                "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
                "bos_token": "<|im_start|>", "clean_up_tokenization_spaces": False,
                "eos_token": "<|im_end|>", "model_max_length": 8192, "pad_token": "<|im_end|>",
                "tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>",
                "vocab_size": 1007,
            },
        ),
        generation=build_greedy(
            "4.42.3", bos_token_id="<|im_start|>", eos_token_id="<|im_end|>",
            pad_token_id="<|im_end|>",
        ),
        template="smollm2",
        files=(*PAGES, "onnx/model.onnx"),
    ),
    Family(
        name="smollm3-3b",
        config=build_config(
            "SmolLM3ForCausalLM", "smollm3", "4.54.0.dev0",
            bos_token_id="<|begin_of_text|>", eos_token_id="<|im_end|>",
            pad_token_id="<|im_end|>", layer_types=["full_attention"] * 4,
            max_position_embeddings=65536, max_window_layers=28, mlp_bias=False,
            no_rope_layer_interval=4, no_rope_layers=[1, 1, 1, 0], num_hidden_layers=4,
            pretraining_tp=2, rope_scaling=None, rope_theta=5000000.0, sliding_window=None,
            tie_word_embeddings=True, use_sliding_window=False,
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=("<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"),
            text_tokens=("<think>", "</think>"),
            roles={"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"},
            settings={
                "bos_token": None, "clean_up_tokenization_spaces": True,
                "eos_token": "<|im_end|>", "extra_special_tokens": {}, "fast": False,
                "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 131072,
                "pad_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast",
            },
        ),
        generation=build_sampling(
            "4.54.0.dev0", bos_token_id="<|begin_of_text|>", eos_token_id="<|im_end|>",
            pad_token_id="<|im_end|>", temperature=0.6, top_p=0.95,
        ),
        template="smollm3",
        has_template_file=True,
        files=PAGES,
    ),
    Family(
        name="tinyllama-1.1b-chat",
        config=build_config(
            "LlamaForCausalLM", "llama", "4.35.0",
            attention_dropout=OMITTED, bos_token_id="<s>", eos_token_id="</s>",
            max_position_embeddings=2048, pretraining_tp=1, rms_norm_eps=1e-5, rope_scaling=None,
            rope_theta=10000.0,
        ),
        tokenizer=TokenizerFacts(
            kind="llama_bpe",
            first_tokens=("<unk>", "<s>", "</s>"),
            prefix=("<s>",),
            roles={
                "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>",
                "unk_token": "<unk>",
            },
            settings={
                "bos_token": "<s>", "clean_up_tokenization_spaces": False, "eos_token": "</s>",
                "legacy": False, "model_max_length": 2048, "pad_token": "</s>",
                "padding_side": "right", "sp_model_kwargs": {},
                "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>",
                "use_default_system_prompt": False,
            },
        ),
        generation={
            "bos_token_id": "<s>", "eos_token_id": "</s>", "max_length": 2048,
            "pad_token_id": "<unk>", "transformers_version": "4.35.0",
        },
        template="tinyllama",
        files=(*PAGES, "model-q4_k_m.gguf"),
    ),
    Family(
        name="falcon3-7b-instruct",
        config=build_config(
            "LlamaForCausalLM", "llama", "4.46.1",
            eos_token_id="<|endoftext|>", head_dim=32, max_position_embeddings=32768,
            mlp_bias=False, pretraining_tp=1, rope_scaling=None, rope_theta=1000042,
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=(
                "<|pad|>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>",
            ),
            roles={"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"},
            settings={
                "clean_up_tokenization_spaces": True, "eos_token": "<|endoftext|>",
                "extra_special_tokens": {},
                "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 32768,
                "pad_token": "<|pad|>", "tokenizer_class": "PreTrainedTokenizerFast",
            },
        ),
        generation=build_greedy("4.46.1", eos_token_id="<|endoftext|>"),
        template="falcon3",
        files=(*PAGES, *PICKLES),
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
    Family(
        name="mistral-7b-v0.3",
        config=build_mistral_config(
            "4.42.0.dev0", "<s>", "</s>", max_position_embeddings=32768
        ),
        tokenizer=TokenizerFacts(
            kind="llama_bpe",
            first_tokens=(
                "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
                "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
            ),
            prefix=("<s>",),
            roles={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
            settings={
                "add_bos_token": True, "add_eos_token": False, "add_prefix_space": True,
                "additional_special_tokens": [], "bos_token": "<s>",
                "clean_up_tokenization_spaces": False, "eos_token": "</s>", "legacy": False,
                "model_max_length": UNLIMITED, "pad_token": None, "sp_model_kwargs": {},
                "spaces_between_special_tokens": False, "tokenizer_class": "LlamaTokenizer",
                "unk_token": "<unk>", "use_default_system_prompt": False,
            },
        ),
        generation=build_greedy("4.42.0.dev0", bos_token_id="<s>", eos_token_id="</s>"),
        template="mistral_v0_3",
        files=(*PAGES, "consolidated.safetensors", "params.json", "tokenizer.model.v3"),
        shards=3,
    ),
    Family(
        name="mistral-nemo-12b",
        config=build_mistral_config(
            "4.43.0.dev0", "<s>", "</s>", head_dim=32, max_position_embeddings=1024000
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"),
            prefix=("<s>",),
            roles={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
            settings={
                "add_bos_token": True, "add_eos_token": False, "add_prefix_space": False,
                "bos_token": "<s>", "clean_up_tokenization_spaces": False, "eos_token": "</s>",
                "model_max_length": UNLIMITED, "tokenizer_class": "PreTrainedTokenizerFast",
                "unk_token": "<unk>",
            },
        ),
        generation=build_greedy("4.43.0.dev0", bos_token_id="<s>", eos_token_id="</s>"),
        template="mistral_nemo",
        files=(
            *PAGES, "consolidated.safetensors", "params.json", "tekken.json",
            "tokenizer.model.v3",
        ),
    ),
    Family(
        name="olmo-2-7b-instruct",
        config=build_config(
            "Olmo2ForCausalLM", "olmo2", "4.47.0.dev0",
            eos_token_id="<|endoftext|>", pad_token_id="<|pad|>", max_position_embeddings=4096,
            num_key_value_heads=4, rope_scaling=None, rope_theta=500000, use_cache=False,
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=("<|endoftext|>", "<|pad|>"),
            roles={
                "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                "pad_token": "<|pad|>", "unk_token": "<|endoftext|>",
            },
            settings={
                "add_prefix_space": False, "bos_token": "<|endoftext|>",
                "clean_up_tokenization_spaces": False, "eos_token": "<|endoftext|>",
                "model_max_length": UNLIMITED, "pad_token": "<|pad|>",
                "tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>",
            },
        ),
        generation=build_greedy(
            "4.47.0.dev0", eos_token_id="<|endoftext|>", pad_token_id="<|pad|>"
        ),
        template="olmo2",
        files=PAGES,
    ),
    Family(
        name="phi-3-mini-4k",
        config=build_config(
            "Phi3ForCausalLM", "phi3", "4.40.2",
            _name_or_path="Phi-3-mini-4k-instruct",
            auto_map={
                "AutoConfig": "configuration_phi3.Phi3Config",
                "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
            },
            bos_token_id="<s>", eos_token_id="<|endoftext|>", pad_token_id="<|endoftext|>",
            embd_pdrop=0.0, max_position_embeddings=4096, num_key_value_heads=4,
            original_max_position_embeddings=4096, resid_pdrop=0.0, rms_norm_eps=1e-5,
            rope_scaling=None, rope_theta=10000.0, sliding_window=2047,
        ),
        tokenizer=TokenizerFacts(
            kind="llama_bpe",
            first_tokens=("<unk>", "<s>", "</s>"),
            last_tokens=(
                "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>",
                "<|placeholder3|>", "<|placeholder4|>", "<|system|>", "<|end|>",
                "<|placeholder5|>", "<|placeholder6|>", "<|user|>",
            ),
            roles={
                "bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
                "unk_token": "<unk>",
            },
            settings={
                "add_bos_token": False, "add_eos_token": False, "bos_token": "<s>",
                "clean_up_tokenization_spaces": False, "eos_token": "<|endoftext|>",
                "legacy": False, "model_max_length": 4096, "pad_token": "<|endoftext|>",
                "padding_side": "left", "sp_model_kwargs": {},
                "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>",
                "use_default_system_prompt": False,
            },
        ),
        generation=build_greedy(
            "4.39.3", bos_token_id="<s>",
            eos_token_id=["<|endoftext|>", "<|assistant|>", "<|end|>"],
            pad_token_id="<|endoftext|>",
        ),
        template="phi3",
        files=(*PAGES, "configuration_phi3.py", "modeling_phi3.py"),
    ),
    Family(
        name="phi-4",
        config=build_config(
            "Phi3ForCausalLM", "phi3", "4.47.0",
            _name_or_path="Phi-4", bos_token_id="<|endoftext|>", eos_token_id="<|im_end|>",
            pad_token_id="<|dummy_0|>", embd_pdrop=0.0, max_position_embeddings=16384,
            original_max_position_embeddings=16384, resid_pdrop=0.0, rms_norm_eps=1e-5,
            rope_scaling=None, rope_theta=250000, sliding_window=None,
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=(
                "<|dummy_0|>", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>",
                "<|fim_suffix|>", "<|im_start|>", "<|im_end|>", "<|im_sep|>",
                "\N{REPLACEMENT CHARACTER}",
            ),
            roles={
                "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>",
                "pad_token": "<|dummy_0|>", "unk_token": "\N{REPLACEMENT CHARACTER}",
            },
            settings={
                "add_prefix_space": False, "bos_token": "<|endoftext|>",
                "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>",
                "extra_special_tokens": {}, "model_max_length": 16384,
                "pad_token": "<|dummy_0|>", "padding_side": "left",
                "tokenizer_class": "GPT2Tokenizer", "unk_token": "\N{REPLACEMENT CHARACTER}",
            },
        ),
        generation=build_greedy(
            "4.47.0", bos_token_id="<|endoftext|>", eos_token_id=["<|endoftext|>", "<|im_end|>"],
            pad_token_id="<|dummy_0|>",
        ),
        template="phi4",
        files=PAGES,
    ),
    Family(
        name="glm-4-9b-0414",
        config=build_config(
            "Glm4ForCausalLM", "glm4", "4.52.0.dev0",
            eos_token_id=["<|endoftext|>", "<|user|>", "<|observation|>"], head_dim=32,
            max_position_embeddings=32768, pad_token_id="<|endoftext|>",
            partial_rotary_factor=0.5, rms_norm_eps=1e-5, rope_theta=10000.0,
        ),
        tokenizer=TokenizerFacts(
            kind="byte_bpe",
            last_tokens=(
                "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>",
                "<|user|>", "<|assistant|>", "<|observation|>",
            ),
            roles={"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
            settings={
                "additional_special_tokens": [
                    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>",
                    "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
                ],
                "clean_up_tokenization_spaces": False, "do_lower_case": False,
                "eos_token": "<|endoftext|>", "extra_special_tokens": {},
                "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 128000,
                "pad_token": "<|endoftext|>", "padding_side": "left", "remove_space": False,
                "tokenizer_class": "PreTrainedTokenizerFast",
            },
        ),
        generation=build_greedy(
            "4.52.0.dev0", do_sample=True,
            eos_token_id=["<|endoftext|>", "<|user|>", "<|observation|>"],
            pad_token_id="<|endoftext|>", temperature=0.8, top_p=0.8,
        ),
        template="glm4_0414",
        has_template_file=True,
        files=PAGES,
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
]  # fmt: skip
