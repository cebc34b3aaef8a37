"""A small WordNet and two small translation models for the tests of this folder."""

from pathlib import Path
from typing import Any

import pytest

LICENCE = "  1 A miniature in the format of WordNet 3.0 Copyright nobody\n"


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    """Write an nltk_data folder with synsets {parcel, package, bundle} and {send, ship_off}."""
    folder = tmp_path / "corpora" / "wordnet"
    chinese = tmp_path / "corpora" / "omw-2.0" / "cmn"
    for path in (folder, chinese):
        path.mkdir(parents=True)
    for part in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{part}").write_text(LICENCE)
        (folder / f"index.{part}").write_text(LICENCE)
        (folder / f"{part}.exc").write_text("")
    (folder / "lexnames").write_text("00\tadj.all\t3\n")
    offset = len(LICENCE)
    synsets = {"noun": ["parcel", "package", "bundle"], "verb": ["send", "ship_off"]}
    for part, lemmas in synsets.items():
        names = " ".join(f"{lemma} 0" for lemma in lemmas)
        line = f"{offset:08d} 00 {part[0]} {len(lemmas):02x} {names} 000 "
        line += ("01 + 08 00 " if part == "verb" else "") + "| a gloss\n"
        (folder / f"data.{part}").write_text(LICENCE + line)
        index = "".join(f"{lemma} {part[0]} 1 0 1 0 {offset:08d}  \n" for lemma in sorted(lemmas))
        (folder / f"index.{part}").write_text(LICENCE + index)
    senses = [f"{word}%1:00:00:: {offset:08d} 1 0\n" for word in synsets["noun"]]
    (folder / "index.sense").write_text("".join(senses))
    rows = "".join(f"{offset:08d}-n\tcmn:lemma\t{word}\n" for word in ("包裹", "包+袱"))
    (chinese / "wn-data-cmn.tab").write_text("# Chinese\tcmn\n" + rows, "utf-8")
    (chinese / "citation.bib").write_text("")
    return tmp_path


@pytest.fixture
def translation_models(tmp_path: Path, tokenizer: Any) -> list[Path]:
    """Two tiny T5 models with random weights and the starter's tokenizer."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    paths, vocabulary = [], len(tokenizer.pretrained)
    for name in ("there", "back"):
        torch.manual_seed(len(name))
        config = T5Config(
            vocab_size=vocabulary, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2,
            decoder_start_token_id=0, pad_token_id=0, eos_token_id=None, tie_word_embeddings=False,
            initializer_factor=20.0,
        )  # fmt: skip
        T5ForConditionalGeneration(config).save_pretrained(tmp_path / name)
        tokenizer.pretrained.save_pretrained(tmp_path / name)
        paths.append(tmp_path / name)
    return paths
