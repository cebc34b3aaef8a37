"""The families Llama 3, SmolLM, TinyLlama and Falcon 3, as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    OMITTED,
    ORIGINAL,
    PAGES,
    PICKLES,
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
]  # fmt: skip
