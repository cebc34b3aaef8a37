"""Tiny random models with tokenizers, in folders as the merge stage writes them."""

from pathlib import Path
from typing import Any

from tests.published_folders import TEXTS

DECODER = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 0,
    "eos_token_id": 0, "max_position_embeddings": 128,
}  # fmt: skip
"""Sizes whose rows are multiples of 32, the block of the GGUF types."""


def write_model(folder: Path, name: str, **sizes: Any) -> Path:
    """Write a model of a class of transformers; `sizes` replace those of `DECODER`."""
    import torch
    import transformers

    model_class: Any = getattr(transformers, name)
    torch.manual_seed(0)
    model_class(model_class.config_class(**(DECODER | sizes))).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, pre_tokenizer: Any, normalizer: Any = None) -> Any:
    """Write and return a byte-level BPE tokenizer with an end token and a pre-tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer, tokens.normalizer = pre_tokenizer, normalizer
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=310,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(
        [*TEXTS, *["It's 2026! I'LL pay 1234 (maybe)\n\n  twice"] * 5], trainer
    )
    pretrained = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<|end|>")
    pretrained.save_pretrained(folder)
    return pretrained
