"""Features of texts that the tests compare: length, script, language, words and n-grams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep import segmentation
from lockstep.data.language import detect_language
from lockstep.drift.compared_texts import ComparedText
from lockstep.metrics.rules.text_analysis import identify_language

LANGUAGE_TEXTS = 1000
"""Number of texts whose language is identified; each takes about 4 ms."""
SHARED_SCRIPTS = ("latin", "ru", "ar", "hi")
"""Scripts of several languages, as `detect_language` names them."""
MAX_CHARACTERS = 2000
"""Number of characters of a text that all features but its length are taken from."""
NGRAMS = (1, 3)
"""Smallest and largest number of characters of an n-gram."""
_BUCKETS = 2**15


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFeatures:
    """Features of texts in random order."""

    lengths: NDArray[np.int64]
    """Number of characters: (texts,)."""
    systems: NDArray[np.str_]
    """System message: (texts,)."""
    scripts: NDArray[np.str_]
    """Code of the script: (texts,)."""
    languages: NDArray[np.str_]
    """Code of the language of the first texts: (at most LANGUAGE_TEXTS,)."""
    words: list[frozenset[str]]
    """Words of each text, without digits and case."""
    ngrams: Any
    """Counts of hashed n-grams of characters, of unit length: sparse (texts, buckets)."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lengths)


def compute_features(items: Sequence[ComparedText]) -> TextFeatures:
    """Compute the features of texts in random order."""
    from sklearn.feature_extraction.text import HashingVectorizer

    texts = [item.text[:MAX_CHARACTERS] for item in items]
    vectorizer = HashingVectorizer(
        analyzer="char", ngram_range=NGRAMS, n_features=_BUCKETS, alternate_sign=False
    )
    return TextFeatures(
        lengths=np.array([len(item.text) for item in items], np.int64),
        systems=np.array([item.system for item in items], np.str_),
        scripts=np.array([detect_language(text) for text in texts], np.str_),
        languages=np.array([find_language(text) for text in texts[:LANGUAGE_TEXTS]], np.str_),
        words=[split_words(text) for text in texts],
        ngrams=vectorizer.transform(texts),
    )


def find_language(text: str) -> str:
    """Return the code of a text's language, by its script where that has one language."""
    script = detect_language(text)
    return (identify_language(text) or "none") if script in SHARED_SCRIPTS else script


def split_words(text: str) -> frozenset[str]:
    """Return the different words of letters in a text; numbers, e.g. of orders, are always new."""
    folded = text.casefold()
    return frozenset(folded[start:end] for start, end in segmentation.find_letter_words(folded))
