"""Name the pre-tokenizer of a tokenizer as llama.cpp does."""

import json
from pathlib import Path
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

SPLIT_PATTERNS = {
    rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}": "qwen2",
    rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}": "llama-bpe",
}
"""Patterns of the pre-tokenizer that splits a text into words, by their names in llama.cpp."""


def find_pre_tokenizer(folder: Path) -> str | None:
    """Return llama.cpp's name of the pre-tokenizer in tokenizer.json; None if it knows none.

    llama.cpp's converter recognizes published tokenizers by a hash over the ids of a test text. A
    tokenizer with the same rules but a vocabulary of its own, such as the starter's, is found by
    its rules here.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        return None
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    steps = _list_steps(tokenizer.get("pre_tokenizer"))
    kinds = [step["type"] for step in steps]
    if tokenizer["model"].get("type") != "BPE" or kinds[-1:] != ["ByteLevel"]:
        return None
    if steps[-1].get("add_prefix_space"):
        return None
    splits_by_itself = steps[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and splits_by_itself:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and splits_by_itself:
        return "smollm" if steps[0].get("individual_digits") else None
    if kinds == ["Split", "ByteLevel"] and not splits_by_itself:
        return SPLIT_PATTERNS.get(steps[0]["pattern"].get("Regex", ""))
    return None


def _list_steps(pre_tokenizer: Any) -> list[dict[str, Any]]:
    """Return the steps of a pre-tokenizer in their order."""
    if not pre_tokenizer:
        return []
    steps: list[dict[str, Any]] = pre_tokenizer.get("pretokenizers") or [pre_tokenizer]
    return steps


def describe_pre_tokenizer(folder: Path) -> str:
    """Return the kinds of the steps of a pre-tokenizer, with the pattern of a split."""
    path = folder / "tokenizer.json"
    if not path.exists():
        return "that of this tokenizer"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    steps = [
        f"{step['type']}({step['pattern'].get('Regex', '')})" if "pattern" in step else step["type"]
        for step in _list_steps(tokenizer.get("pre_tokenizer"))
    ]
    return " + ".join(steps) or "none"
