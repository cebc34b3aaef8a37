"""Tiny random encoder-decoders of real architectures, written as hubs publish them."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstep.records import Record

PREFIX = "translate English to German:"
ENGLISH = {"the": "das", "house": "Haus", "book": "Buch", "is": "ist", "red": "rot", "old": "alt"}
"""A toy language: each English word has one German word."""
SENTENCES = [
    f"the {noun} is {words}{end}"
    for noun in ("house", "book")
    for words in ("red", "old", "red the old", "old the red", "red is the old house is the")
    for end in ("", " is")
]


def translate(sentence: str) -> str:
    """Return the German sentence."""
    return " ".join(ENGLISH[word] for word in sentence.split())


def make_translations() -> list[Record]:
    """Return records of the toy language, whose system message is T5's prefix."""
    return [
        Record(
            messages=[
                {"role": "system", "content": PREFIX},
                {"role": "user", "content": sentence},
                {"role": "assistant", "content": translate(sentence)},
            ],
            task="translation",
            source="s.csv",
            origin=f"s.csv:{number}",
        )
        for number, sentence in enumerate(SENTENCES, 1)
    ]


def train_sentencepiece(**options: Any) -> bytes:
    """Return a sentencepiece model that is trained on the toy language."""
    import sentencepiece

    texts = [PREFIX, *SENTENCES, *map(translate, SENTENCES)] * 3
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=60, bos_id=-1,
        hard_vocab_limit=False, minloglevel=2, **options,
    )  # fmt: skip
    return model.getvalue()


def write_t5(folder: Path) -> None:
    """Write a T5 with tied embeddings, as t5-base."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _build_t5_tokenizer()
    config = T5Config(**_get_t5_shape(tokenizer), num_layers=2)
    _write(T5ForConditionalGeneration, config, tokenizer, folder)


def write_long_t5(folder: Path) -> None:
    """Write a LongT5 with transient-global attention, as long-t5-tglobal-base."""
    from transformers import LongT5Config, LongT5ForConditionalGeneration

    tokenizer = _build_t5_tokenizer()
    config = LongT5Config(
        **_get_t5_shape(tokenizer), num_layers=2, encoder_attention_type="transient-global",
        local_radius=3, global_block_size=4, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )  # fmt: skip
    _write(LongT5ForConditionalGeneration, config, tokenizer, folder)


def write_bart(folder: Path) -> None:
    """Write a BART whose generation configuration has beams and penalties, as bart-large-cnn."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        BartTokenizer,
        GenerationConfig,
    )

    trained = ByteLevelBPETokenizer()
    special_tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [PREFIX, *SENTENCES, *map(translate, SENTENCES)]
    trained.train_from_iterator(texts, 320, special_tokens=special_tokens, show_progress=False)
    values = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in values["merges"]]
    tokenizer = BartTokenizer(vocab=values["vocab"], merges=merges)
    config = BartConfig(**_get_bart_shape(len(tokenizer)), max_position_embeddings=64)
    _write(BartForConditionalGeneration, config, tokenizer, folder)
    generation = GenerationConfig.from_model_config(config)
    generation.update(num_beams=4, no_repeat_ngram_size=3, min_length=9, forced_bos_token_id=0)
    generation.save_pretrained(folder)


def write_marian(folder: Path) -> None:
    """Write a Marian model with sentencepiece models for source and target, as opus-mt."""
    import sentencepiece
    from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir()
    pieces = ["</s>", "<unk>"]
    for name, options in (("source", {}), ("target", {"character_coverage": 1.0})):
        model = train_sentencepiece(model_type="unigram" if name == "source" else "bpe", **options)
        (folder / f"{name}.spm").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        new = (processor.id_to_piece(number) for number in range(processor.get_piece_size()))
        pieces += [piece for piece in new if piece not in pieces]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = MarianTokenizer(
        source_spm=str(folder / "source.spm"), target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
    )  # fmt: skip
    pad = vocabulary["<pad>"]
    shape = _get_bart_shape(len(vocabulary)) | {
        "pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": 0, "bos_token_id": 0,
        "forced_eos_token_id": 0,
    }  # fmt: skip
    config = MarianConfig(**shape, max_position_embeddings=64)
    _write(MarianMTModel, config, tokenizer, folder)
    generation = GenerationConfig.from_model_config(config)
    generation.update(num_beams=4, bad_words_ids=[[pad]], max_length=512)
    generation.save_pretrained(folder)


WRITERS: dict[str, Callable[[Path], None]] = {
    "t5": write_t5, "longt5": write_long_t5, "bart": write_bart, "marian": write_marian,
}  # fmt: skip
"""Function that writes a model of each architecture into a folder."""


def _build_t5_tokenizer() -> Any:
    import sentencepiece
    from transformers import T5Tokenizer

    model = train_sentencepiece(pad_id=0, eos_id=1, unk_id=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    numbers = range(processor.get_piece_size())
    vocabulary = [(processor.id_to_piece(n), processor.get_score(n)) for n in numbers]
    return T5Tokenizer(vocab=vocabulary, extra_ids=4, model_max_length=512)


def _get_t5_shape(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer) + 4, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4,
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "dropout_rate": 0.1,
        "initializer_factor": 1.0,
    }  # fmt: skip


def _get_bart_shape(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64, "init_std": 0.1, "dropout": 0.1,
    }  # fmt: skip


def _write(model_class: Any, config: Any, tokenizer: Any, folder: Path) -> None:
    import torch

    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
