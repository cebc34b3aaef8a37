"""Tiny random models in folders as hubs publish them: old names, surplus tensors, foreign keys."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = ["where is my order 101?", "refund order 7 please", "取消订单 退款多久到账？"] * 5
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 300
DECODER = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0,
}  # fmt: skip
ENCODER = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14, "vision_use_head": False,
}  # fmt: skip
QWEN_VISION = {
    "hidden_size": 16, "intermediate_size": 32, "depth": 2, "num_heads": 2, "patch_size": 16,
    "num_position_embeddings": 16, "out_hidden_size": 32,
}  # fmt: skip
QWEN_TEXT = {
    **DECODER, "head_dim": 16, "tie_word_embeddings": True,
    "linear_key_head_dim": 16, "linear_num_key_heads": 2,
    "linear_value_head_dim": 16, "linear_num_value_heads": 2,
    "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
AUTO_MAP = {"AutoModelForCausalLM": "modeling_own.OwnModel", "AutoConfig": "modeling_own.OwnConfig"}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "phi3": ("Phi3ForCausalLM", DECODER),
    "falcon": (
        "FalconForCausalLM",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 2},
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    ),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM",
        {**DECODER, "head_dim": 32, "moe_intermediate_size": 16, "num_experts": 4,
         "num_experts_per_tok": 2},
    ),
    "gemma2": ("Gemma2ForCausalLM", {**DECODER, "head_dim": 16}),
    "gemma3": (
        "Gemma3ForConditionalGeneration",
        {"text_config": {**DECODER, "head_dim": 16}, "vision_config": VISION,
         "image_token_index": VOCABULARY - 1, "mm_tokens_per_image": 1},
    ),
    "qwen3_5": (
        "Qwen3_5ForConditionalGeneration",
        {"text_config": QWEN_TEXT, "vision_config": QWEN_VISION, "tie_word_embeddings": True},
    ),
    "bert": ("BertForMaskedLM", ENCODER),
    "roberta": ("RobertaForMaskedLM", {**ENCODER, "pad_token_id": 1}),
    "xlm-roberta": ("XLMRobertaForMaskedLM", {**ENCODER, "pad_token_id": 1}),
    "distilbert": (
        "DistilBertForMaskedLM",
        {"vocab_size": VOCABULARY, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2},
    ),
    "deberta-v2": (
        "DebertaV2ForMaskedLM",
        {**ENCODER, "type_vocab_size": 0, "relative_attention": True, "position_buckets": 16,
         "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    ),
    "modernbert": (
        "ModernBertForMaskedLM",
        {**ENCODER, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    ),
}  # fmt: skip
"""Class and sizes of the model of each family."""

ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert", "deberta-v2", "modernbert")

PUBLISHED_KEYS: dict[str, dict[str, Any]] = {
    "phi3": {"auto_map": AUTO_MAP, "attention_bias": False},
    "falcon": {"auto_map": AUTO_MAP},
    "gpt2": {"n_ctx": 64, "n_special": 0, "predict_special_tokens": True},
    "bert": {"directionality": "bidi", "pooler_type": "first_token_transform"},
    "roberta": {"output_past": True},
    "distilbert": {"tie_weights_": True},
    "modernbert": {"global_attn_every_n_layers": 3, "reference_compile": None},
}
"""Keys of the published config.json beside those that the configuration class writes."""


def write_published_folder(family: str, folder: Path) -> Path:
    """Write the model of a family, with a tokenizer and with files that the pipeline ignores."""
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    name, sizes = MODELS[family]
    model_class: Any = getattr(transformers, name)
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**sizes)).eval()
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    RENAMING.get(family, lambda tensors: None)(tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, path, {"format": "pt"})
    config = folder / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | PUBLISHED_KEYS.get(family, {}), indent=2)
    )
    if family == "deberta-v2":
        write_sentencepiece(folder)
    elif family in ENCODERS and family != "modernbert":
        write_word_pieces(folder)
    else:
        write_byte_pairs(folder)
    for other in ("README.md", "pytorch_model.bin", "modeling_own.py", "model.gguf", "params.json"):
        (folder / other).write_text("x")
    (folder / "original").mkdir()
    (folder / "original/consolidated.00.pth").write_bytes(b"x")
    return folder


def rename_bert(tensors: dict[str, Any]) -> None:
    """Give the tensors the names of TensorFlow, and add a head and a buffer; there is no pooler."""
    import torch

    for name in [name for name in tensors if "LayerNorm" in name]:
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        tensors[old.replace("LayerNorm.bias", "LayerNorm.beta")] = tensors.pop(name)
    tensors["cls.seq_relationship.weight"] = torch.zeros(2, 32)
    tensors["bert.embeddings.position_ids"] = torch.arange(64)[None]


def add_pooler(tensors: dict[str, Any]) -> None:
    """Add a pooler, which RoBERTa's classifier does not have."""
    import torch

    tensors["roberta.pooler.dense.weight"] = torch.zeros(32, 32)
    tensors["roberta.pooler.dense.bias"] = torch.zeros(32)


def rename_deberta(tensors: dict[str, Any]) -> None:
    """Replace the head for masked words by one of another name."""
    for name in [name for name in tensors if not name.startswith("deberta.")]:
        tensors[f"lm_predictions.{name}"] = tensors.pop(name)


def rename_gpt2(tensors: dict[str, Any]) -> None:
    """Remove the prefix of the names, and add the causal masks of the first release."""
    import torch

    for name in list(tensors):
        tensors[name.removeprefix("transformer.")] = tensors.pop(name)
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(64, 64))[None, None]


RENAMING: dict[str, Callable[[dict[str, Any]], None]] = {
    "bert": rename_bert,
    "roberta": add_pooler,
    "deberta-v2": rename_deberta,
    "gpt2": rename_gpt2,
}


def write_word_pieces(folder: Path) -> None:
    """Write vocab.txt alone, as old BERT models have it."""
    letters = sorted({letter for text in TEXTS for letter in text if letter != " "})
    words = sorted({word for text in TEXTS for word in text.split() if word.isascii()})
    pieces = [*SPECIALS, *letters, *(f"##{letter}" for letter in letters), *words]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n", encoding="utf-8")


def write_sentencepiece(folder: Path, name: str = "spm.model") -> None:
    """Write a sentencepiece model alone, by default under the name that DeBERTa v3 has."""
    import io

    import sentencepiece

    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=writer, vocab_size=100, minloglevel=3,
        hard_vocab_limit=False, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]",
        bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]", user_defined_symbols=["[MASK]"],
    )  # fmt: skip
    (folder / name).write_bytes(writer.getvalue())


def write_byte_pairs(folder: Path) -> None:
    """Write tokenizer.json with an end token and without a chat template."""
    build_byte_pairs().save_pretrained(folder)


def build_byte_pairs() -> Any:
    """Return a byte-level tokenizer with an end token and without a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<|end|>")
