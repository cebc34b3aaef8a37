"""Write the tokenizer of a family, trained on a few sentences."""

import json
from pathlib import Path
from typing import Any

from lockstep.verify.model_families.family import Family, TokenizerFacts

CORPUS = [
    f"{start} {thing} {number}{end}"
    for number, end in enumerate(["?", ".", "!", " please.", ", 谢谢。"])
    for start in ("Where is my", "I want to cancel the", "Please send the", "请取消订单", "退款")
    for thing in ("order", "parcel", "refund", "invoice", "发票", "包裹")
]
"""Sentences that the tokenizers are trained on."""

PIECES = 120
"""Number of learnt tokens beside bytes and special tokens."""


def write_tokenizer(family: Family, folder: Path) -> dict[str, int]:
    """Write the files of a family's tokenizer and return the id of every token."""
    facts = family.tokenizer
    tokenizer = _BUILDERS[facts.kind](facts)
    _add_special_tokens(tokenizer, facts)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if "spm.model" not in family.files:  # DeBERTa has no tokenizer.json
        tokenizer.save(str(folder / "tokenizer.json"))
    model = json.loads(tokenizer.to_str())["model"]
    if "vocab.txt" in family.files:
        by_id = sorted(vocabulary, key=lambda token: vocabulary[token])
        (folder / "vocab.txt").write_text("\n".join(by_id) + "\n", encoding="utf-8")
    if "vocab.json" in family.files:
        (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
        merges = [" ".join(pair) for pair in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    for name in {"spiece.model", "spm.model", "sentencepiece.bpe.model"} & {*family.files}:
        (folder / name).write_bytes(_train_sentencepiece(facts))
    if "added_tokens.json" in family.files:
        (folder / "added_tokens.json").write_text("{}")
    return vocabulary


def _build_byte_bpe(facts: TokenizerFacts) -> Any:
    """Return the byte-level BPE of GPT-2, which Qwen and Llama 3 use as well."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(facts.first_tokens) + PIECES,
        special_tokens=[*facts.first_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _build_sentencepiece_bpe(facts: TokenizerFacts) -> Any:
    """Return a BPE as transformers converts it from sentencepiece: unknown characters are bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=2 * PIECES, show_progress=False)
    )
    model = json.loads(learner.to_str())["model"]
    learnt = sorted(model["vocab"], key=lambda token: model["vocab"][token])
    tokens = [*facts.first_tokens, *(f"<0x{byte:02X}>" for byte in range(256)), *learnt]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if facts.kind == "llama_bpe":  # writes a blank before the text
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        spaces.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(spaces)
    return tokenizer


def _build_unigram(facts: TokenizerFacts) -> Any:
    """Return a unigram tokenizer with the pieces and scores of its sentencepiece model."""
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    processor = SentencePieceProcessor(model_proto=_train_sentencepiece(facts))
    start = 3 if "<s>" in facts.first_tokens else len(facts.first_tokens)
    pieces = [(token, 0.0) for token in facts.first_tokens]
    pieces += [
        (processor.id_to_piece(number), processor.get_score(number))
        for number in range(start, processor.get_piece_size())
    ]
    unknown = next(n for n, token in enumerate(facts.first_tokens) if "unk" in token.lower())
    tokenizer = Tokenizer(models.Unigram(pieces, unknown))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _build_wordpiece(facts: TokenizerFacts) -> Any:
    """Return BERT's tokenizer."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=facts.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=2 * PIECES,
        special_tokens=[*facts.first_tokens],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


_BUILDERS = {
    "byte_bpe": _build_byte_bpe,
    "llama_bpe": _build_sentencepiece_bpe,
    "gemma_bpe": _build_sentencepiece_bpe,
    "unigram": _build_unigram,
    "wordpiece": _build_wordpiece,
}


def _add_special_tokens(tokenizer: Any, facts: TokenizerFacts) -> None:
    """Add the special tokens, and those that the tokenizer writes around a text."""
    from tokenizers import AddedToken, processors

    special = (*facts.first_tokens, *facts.last_tokens)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in facts.text_tokens])
    if facts.prefix or facts.suffix:
        around = {*facts.prefix, *facts.suffix}
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*facts.prefix, "$A", *facts.suffix],
            pair=[*facts.prefix, "$A", *facts.suffix, "$B", *facts.suffix],
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in sorted(around)],
        )


def _train_sentencepiece(facts: TokenizerFacts) -> bytes:
    """Return a sentencepiece model with the family's special tokens."""
    import io

    from sentencepiece import SentencePieceTrainer

    tokens = facts.first_tokens
    if "<s>" in tokens:  # XLM-R: fairseq adds its own special tokens around sentencepiece's
        tokens = ("<unk>", "<s>", "</s>")
    names = {"pad": ("<pad>", "[PAD]"), "bos": ("<s>", "[CLS]"), "eos": ("</s>", "[SEP]"),
             "unk": ("<unk>", "[UNK]")}  # fmt: skip
    options: dict[str, Any] = {}
    for role, spellings in names.items():
        token = next((token for token in tokens if token in spellings), None)
        options[f"{role}_id"] = -1 if token is None else tokens.index(token)
        if token is not None:
            options[f"{role}_piece"] = token
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, "".join(map(chr, range(33, 127)))]),
        model_writer=model,
        model_type="unigram",
        vocab_size=2 * PIECES,
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return model.getvalue()
