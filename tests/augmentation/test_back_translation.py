"""Back-translation equals two runs of greedy decoding by transformers."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.augmentation import back_translation
from lockstep.errors import UserError

TEXTS = ["where is my parcel", "退款 多久 到账", "ok"]


def test_texts_equal_greedy_decoding_by_transformers(
    translation_models: list[Path], tokenizer: Any
) -> None:
    from transformers import T5ForConditionalGeneration

    def translate_with_transformers(text: str) -> str:
        for folder in translation_models:
            model = T5ForConditionalGeneration.from_pretrained(folder).eval()
            ids = tokenizer.pretrained(text, return_tensors="pt").input_ids
            out = model.generate(ids, do_sample=False, num_beams=1, max_new_tokens=6)
            text = tokenizer.pretrained.decode(out[0], skip_special_tokens=True).strip()
        return text

    there, back = translation_models
    expected = [translate_with_transformers(text) for text in TEXTS]
    for batch_size in (1, 2, 3):
        assert back_translation.back_translate(TEXTS, there, back, batch_size, 6) == expected
    assert all(expected), "random weights must not give empty texts"
    assert back_translation.back_translate(["", "退款"], there, back, 2, 6)[0] == ""
    assert back_translation.back_translate([], there, back, 2, 6) == []


def test_a_marian_model_with_its_sentencepiece_files_translates(tmp_path: Path) -> None:
    import json

    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel

    (tmp_path / "text").write_text("where is my parcel\n退款 多久 到账\n" * 20, encoding="utf-8")
    for name in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(tmp_path / "text"), model_prefix=str(tmp_path / name), vocab_size=40,
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        (tmp_path / f"{name}.model").rename(tmp_path / f"{name}.spm")
    pieces = sentencepiece.SentencePieceProcessor(str(tmp_path / "source.spm"))
    vocabulary = ["</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, len(pieces))), "<pad>"]
    (tmp_path / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(vocabulary)}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"source_lang": "en", "target_lang": "zh", "tokenizer_class": "MarianTokenizer"})
    )
    size = len(vocabulary)
    config = MarianConfig(
        vocab_size=size, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
        decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2,
        pad_token_id=size - 1, decoder_start_token_id=size - 1, eos_token_id=0,
        forced_eos_token_id=0, init_std=2.0, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(3)
    MarianMTModel(config).save_pretrained(tmp_path)
    translations = back_translation.back_translate(TEXTS[:2], tmp_path, tmp_path, 2, 6)
    assert len(translations) == 2 and any(translations)


def test_a_model_other_than_a_translation_model_is_refused(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="not a seq2seq model; name a translation model"):
        back_translation.back_translate(["a"], tiny_model, tiny_model, 1, 6)
