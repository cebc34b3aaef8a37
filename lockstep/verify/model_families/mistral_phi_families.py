"""The families Mistral, Phi, OLMo and GLM, as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    OMITTED,
    PAGES,
    UNLIMITED,
    build_config,
    build_greedy,
)


def build_mistral_config(version: str, bos: str, eos: str, **keys: Any) -> dict[str, Any]:
    """Return config.json of a Mistral model."""
    return build_config(
        "MistralForCausalLM", "mistral", version,
        attention_bias=OMITTED, bos_token_id=bos, eos_token_id=eos, rms_norm_eps=1e-5,
        rope_theta=1000000.0, sliding_window=None, **keys,
    )  # fmt: skip


FAMILIES = [
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
]  # fmt: skip
