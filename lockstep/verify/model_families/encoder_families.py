"""The families of encoders and of encoder-decoder models, as published."""

from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts
from lockstep.verify.model_families.published_keys import (
    OTHER_FRAMEWORKS,
    build_encoder_config,
)

ENCODER_FILES = (".gitattributes", "README.md", *OTHER_FRAMEWORKS)
BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BERT_ROLES = {
    "cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}  # fmt: skip
POOLER_KEYS: dict[str, Any] = {
    "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3, "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
}  # fmt: skip
ROBERTA_IDS = {"bos_token_id": "<s>", "eos_token_id": "</s>", "pad_token_id": "<pad>"}
ROBERTA_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")


def build_bert(name: str, tokenizer: TokenizerFacts, files: tuple[str, ...], **keys: Any) -> Family:
    """Return a family with BERT's architecture and the weights of its pre-training."""
    return Family(
        name=name,
        config=build_encoder_config("BertForMaskedLM", "bert", pad_token_id="[PAD]", **keys),
        tokenizer=tokenizer,
        files=(*ENCODER_FILES, "vocab.txt", *files),
        model_class="BertForPreTraining",
        objective="classification",
    )


def build_bert_tokenizer(settings: dict[str, Any], **facts: Any) -> TokenizerFacts:
    """Return a WordPiece tokenizer with BERT's special tokens."""
    return TokenizerFacts(
        kind="wordpiece", first_tokens=BERT_TOKENS, prefix=("[CLS]",), suffix=("[SEP]",),
        settings=settings, **facts,
    )  # fmt: skip


def build_roberta_tokenizer(kind: Any) -> TokenizerFacts:
    """Return a tokenizer with RoBERTa's special tokens."""
    return TokenizerFacts(
        kind=kind, first_tokens=ROBERTA_TOKENS, last_tokens=("<mask>",), prefix=("<s>",),
        suffix=("</s>",), settings={"model_max_length": 512},
    )  # fmt: skip


CHINESE_BERT: dict[str, Any] = {
    "tokenizer": build_bert_tokenizer({"init_inputs": []}, roles=BERT_ROLES, lowercase=True),
    "files": ("added_tokens.json",),
}


def build_t5_tokenizer(**settings: Any) -> TokenizerFacts:
    """Return a tokenizer of T5, whose sentinels follow the vocabulary."""
    return TokenizerFacts(
        kind="unigram", first_tokens=("<pad>", "</s>", "<unk>"), suffix=("</s>",),
        last_tokens=tuple(f"<extra_id_{number}>" for number in reversed(range(100))),
        settings={"model_max_length": 512} | settings,
    )  # fmt: skip


FAMILIES = [
    build_bert(
        "bert-base-uncased",
        build_bert_tokenizer({"do_lower_case": True, "model_max_length": 512}, lowercase=True),
        (),
        gradient_checkpointing=False, position_embedding_type="absolute",
        transformers_version="4.6.0.dev0", use_cache=True,
    ),
    build_bert(
        "bert-multilingual",
        build_bert_tokenizer({"do_lower_case": False, "model_max_length": 512}),
        (),
        position_embedding_type="absolute", transformers_version="4.6.0.dev0", use_cache=True,
        **POOLER_KEYS,
    ),
    build_bert("chinese-bert-wwm-ext", **CHINESE_BERT, output_past=True, **POOLER_KEYS),
    build_bert(
        "chinese-roberta-wwm-ext", **CHINESE_BERT, bos_token_id=0, eos_token_id=2,
        output_past=True, **POOLER_KEYS,
    ),
    Family(
        name="distilbert-base-uncased",
        config={
            "activation": "gelu", "architectures": ["DistilBertForMaskedLM"],
            "attention_dropout": 0.1, "dim": 64, "dropout": 0.1, "hidden_dim": 128,
            "initializer_range": 0.02, "max_position_embeddings": 512,
            "model_type": "distilbert", "n_heads": 4, "n_layers": 2, "pad_token_id": "[PAD]",
            "qa_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": False,
            "tie_weights_": True, "transformers_version": "4.10.0.dev0",
        },
        tokenizer=build_bert_tokenizer(
            {"do_lower_case": True, "model_max_length": 512}, lowercase=True
        ),
        files=(*ENCODER_FILES, "vocab.txt"),
        objective="classification",
    ),
    Family(
        name="roberta-base",
        config=build_encoder_config(
            "RobertaForMaskedLM", "roberta", layer_norm_eps=1e-5, max_position_embeddings=514,
            type_vocab_size=1, **ROBERTA_IDS,
        ),
        tokenizer=build_roberta_tokenizer("byte_bpe"),
        files=(*ENCODER_FILES, "merges.txt", "vocab.json"),
        objective="classification",
    ),
    Family(
        name="xlm-roberta-base",
        config=build_encoder_config(
            "XLMRobertaForMaskedLM", "xlm-roberta", layer_norm_eps=1e-5,
            max_position_embeddings=514, output_past=True, position_embedding_type="absolute",
            transformers_version="4.17.0.dev0", type_vocab_size=1, use_cache=True,
            **ROBERTA_IDS,
        ),
        tokenizer=build_roberta_tokenizer("unigram"),
        files=(*ENCODER_FILES, "sentencepiece.bpe.model"),
        objective="classification",
    ),
    Family(
        name="deberta-v3-base",
        config={
            key: value
            for key, value in build_encoder_config(
                "", "deberta-v2", layer_norm_eps=1e-7, max_relative_positions=-1,
                norm_rel_ebd="layer_norm", pos_att_type="p2c|c2p", position_biased_input=False,
                position_buckets=32, relative_attention=True, share_att_key=True,
                type_vocab_size=0,
            ).items()
            if key != "architectures"
        },
        tokenizer=TokenizerFacts(
            kind="unigram", first_tokens=("[PAD]", "[CLS]", "[SEP]", "[UNK]"),
            last_tokens=("[MASK]",), prefix=("[CLS]",), suffix=("[SEP]",),
            settings={"do_lower_case": False, "vocab_type": "spm"},
        ),
        files=(*ENCODER_FILES, "spm.model"),
        model_class="DebertaV2ForMaskedLM",
        objective="classification",
    ),
    Family(
        name="modernbert-base",
        config={
            "architectures": ["ModernBertForMaskedLM"], "attention_bias": False,
            "attention_dropout": 0.0, "bos_token_id": "[CLS]", "classifier_activation": "gelu",
            "classifier_bias": False, "classifier_dropout": 0.0, "classifier_pooling": "mean",
            "cls_token_id": "[CLS]", "decoder_bias": True, "deterministic_flash_attn": False,
            "embedding_dropout": 0.0, "eos_token_id": "[SEP]", "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0, "gradient_checkpointing": False,
            "hidden_activation": "gelu", "hidden_size": 64, "initializer_cutoff_factor": 2.0,
            "initializer_range": 0.02, "intermediate_size": 128, "layer_norm_eps": 1e-5,
            "local_attention": 16, "local_rope_theta": 10000.0,
            "max_position_embeddings": 8192, "mlp_bias": False, "mlp_dropout": 0.0,
            "model_type": "modernbert", "norm_bias": False, "norm_eps": 1e-5,
            "num_attention_heads": 4, "num_hidden_layers": 4, "pad_token_id": "[PAD]",
            "position_embedding_type": "absolute", "reference_compile": None,
            "repad_logits_with_grad": False, "sep_token_id": "[SEP]",
            "sparse_pred_ignore_index": -100, "sparse_prediction": False,
            "transformers_version": "4.48.0.dev0",
        },
        tokenizer=TokenizerFacts(
            kind="byte_bpe", last_tokens=("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"),
            prefix=("[CLS]",), suffix=("[SEP]",),
            settings=BERT_ROLES | {
                "clean_up_tokenization_spaces": True,
                "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 8192,
                "tokenizer_class": "PreTrainedTokenizerFast",
            },
        ),
        files=ENCODER_FILES,
        objective="classification",
    ),
    Family(
        name="bart-base",
        config={
            "activation_dropout": 0.1, "activation_function": "gelu", "add_bias_logits": False,
            "add_final_layer_norm": False, "architectures": ["BartModel"],
            "attention_dropout": 0.1, "bos_token_id": "<s>", "classif_dropout": 0.1,
            "classifier_dropout": 0.0, "d_model": 64, "decoder_attention_heads": 4,
            "decoder_ffn_dim": 128, "decoder_layerdrop": 0.0, "decoder_layers": 2,
            "decoder_start_token_id": "</s>", "dropout": 0.1, "early_stopping": True,
            "encoder_attention_heads": 4, "encoder_ffn_dim": 128, "encoder_layerdrop": 0.0,
            "encoder_layers": 2, "eos_token_id": "</s>", "forced_bos_token_id": "<s>",
            "forced_eos_token_id": "</s>", "gradient_checkpointing": False, "init_std": 0.02,
            "is_encoder_decoder": True, "max_position_embeddings": 1024, "model_type": "bart",
            "no_repeat_ngram_size": 3, "normalize_before": False, "normalize_embedding": True,
            "num_beams": 4, "num_hidden_layers": 2, "pad_token_id": "<pad>",
            "scale_embedding": False, "use_cache": True,
        },
        tokenizer=TokenizerFacts(
            kind="byte_bpe", first_tokens=ROBERTA_TOKENS, last_tokens=("<mask>",),
            prefix=("<s>",), suffix=("</s>",), settings={"model_max_length": 1024},
        ),
        generation={
            "_from_model_config": True, "bos_token_id": "<s>",
            "decoder_start_token_id": "</s>", "early_stopping": True, "eos_token_id": "</s>",
            "forced_bos_token_id": "<s>", "forced_eos_token_id": "</s>",
            "no_repeat_ngram_size": 3, "num_beams": 4, "pad_token_id": "<pad>",
        },
        files=(*ENCODER_FILES, "merges.txt", "vocab.json"),
        objective="translation",
    ),
    Family(
        name="t5-base",
        config={
            "architectures": ["T5ForConditionalGeneration"], "d_ff": 128, "d_kv": 16,
            "d_model": 64, "decoder_start_token_id": "<pad>", "dropout_rate": 0.1,
            "eos_token_id": "</s>", "initializer_factor": 1.0, "is_encoder_decoder": True,
            "layer_norm_epsilon": 1e-6, "model_type": "t5", "n_positions": 512, "num_heads": 4,
            "num_layers": 2, "output_past": True, "pad_token_id": "<pad>",
            "relative_attention_num_buckets": 32,
            "task_specific_params": {
                "summarization": {"early_stopping": True, "prefix": "summarize: "}
            },
            "use_cache": True,
        },
        tokenizer=build_t5_tokenizer(),
        generation={
            "_from_model_config": True, "decoder_start_token_id": "<pad>",
            "eos_token_id": "</s>", "pad_token_id": "<pad>",
        },
        files=(*ENCODER_FILES, "spiece.model"),
        objective="translation",
        weight_scale=1.0,
    ),
    Family(
        name="long-t5-tglobal-base",
        config={
            "architectures": ["LongT5ForConditionalGeneration"], "d_ff": 128, "d_kv": 16,
            "d_model": 64, "decoder_start_token_id": "<pad>", "dropout_rate": 0.1,
            "encoder_attention_type": "transient-global", "eos_token_id": "</s>",
            "feed_forward_proj": "gated-gelu", "global_block_size": 16,
            "initializer_factor": 1.0, "is_encoder_decoder": True, "layer_norm_epsilon": 1e-6,
            "local_radius": 127, "model_type": "longt5", "n_positions": 4096,
            "num_decoder_layers": 2, "num_heads": 4, "num_layers": 2, "output_past": True,
            "pad_token_id": "<pad>", "relative_attention_max_distance": 128,
            "relative_attention_num_buckets": 32, "tie_word_embeddings": False,
            "transformers_version": "4.20.0.dev0", "use_cache": True,
        },
        tokenizer=build_t5_tokenizer(tokenizer_class="T5Tokenizer"),
        files=("spiece.model",),
        objective="translation",
        weight_scale=1.0,
    ),
]  # fmt: skip
