"""Synonym replacement with a dictionary of the domain or with WordNet."""

import random
import re
import warnings
from collections import Counter
from collections.abc import Collection
from functools import cache
from pathlib import Path

import regex

from lockstep.augmentation import words
from lockstep.errors import UserError
from lockstep.segmentation import EXTEND

Synonyms = dict[str, list[str]]
"""Synonyms by word in lower case."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_EXTEND = regex.compile(EXTEND)


def replace_synonyms(
    text: str, rate: float, rng: random.Random, protected: Collection[str], synonyms: Synonyms
) -> str:
    """Replace a share of the words in the dictionary by a synonym.

    Where entries overlap, the longest is used. A Chinese entry matches only whole words of the
    segmented sentence.
    """
    matches = [m.span() for m in _build_entry_pattern(frozenset(synonyms)).finditer(text)]
    # re.IGNORECASE also matches the Turkish ı with i; casefold does not
    entries = [
        (start, end)
        for start, end in matches
        if text[start:end].casefold() in synonyms and not _cuts_letter(text, start, end)
    ]
    edges = {edge for span in words.find_words(text) for edge in span}
    whole_words = [
        (start, end)
        for start, end in entries
        if not _HAN.search(text[start:end]) or {start, end} <= edges
    ]
    spans = words.exclude_overlapping(whole_words, words.find_texts(text, protected))
    return words.replace_words(text, rate, rng, spans, synonyms.__getitem__)


def read_dictionary(path: Path) -> Synonyms:
    """Read lines of language, word and comma-separated synonyms, with tabs between the three.

    Raise UserError if the file is empty, not UTF-8 or has a line of another form.
    """
    synonyms: Synonyms = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        cells = [cell.strip(" ,") for cell in line.split("\t")]
        if len(cells) != 3 or not all(cells):
            raise UserError(f"{path}:{number}: must be language, word and synonyms, tab-separated")
        _, word, synonym_list = cells
        names = [name.strip() for name in synonym_list.split(",") if name.strip()]
        synonyms.setdefault(word.casefold(), []).extend(names)
    if not synonyms:
        raise UserError(f"{path}: empty; add synonyms or remove the method from augment.methods")
    return synonyms


class WordNet:
    """Synonyms from Princeton WordNet (English) and Open Multilingual WordNet (Chinese)."""

    def __init__(self, folder: Path) -> None:
        """Load WordNet from an nltk_data folder; raise UserError if it is not complete."""
        for name in ("wordnet", "omw-2.0"):
            if not (folder / "corpora" / name).is_dir():
                raise UserError(
                    f"{folder}: no corpora/{name}; fetch it with "
                    f"python -m nltk.downloader -d {folder} wordnet omw-2.0"
                )
        import nltk

        nltk.data.path.insert(0, str(folder.resolve()))
        self._reader = nltk.corpus.wordnet
        try:
            self._reader.ensure_loaded()
            self._reader.langs()
        except (OSError, LookupError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{folder}: incomplete WordNet: {reason}; fetch it again") from None
        self.find_synonyms = cache(self._find_synonyms)

    def replace_synonyms(
        self, text: str, rate: float, rng: random.Random, protected: Collection[str]
    ) -> str:
        """Replace a share of the words that WordNet knows by a synonym."""
        spans = [
            span
            for span in words.find_words(text, protected)
            if self.find_synonyms(text[slice(*span)].casefold())
        ]
        return words.replace_words(text, rate, rng, spans, self.find_synonyms)

    def _find_synonyms(self, word: str) -> list[str]:
        """Return the other words of the most frequent sense.

        Only the part of speech with the most senses counts.
        """
        language = "cmn" if _HAN.search(word) else "eng"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NLTK warns of Chinese senses that WordNet 3.0 lacks
            senses = [sense for sense in self._reader.synsets(word, lang=language) if sense]
        if not senses:
            return []
        part_of_speech = Counter(sense.pos() for sense in senses).most_common(1)[0][0]
        sense = next(sense for sense in senses if sense.pos() == part_of_speech)
        names = [name.replace("_", " ").replace("+", "") for name in sense.lemma_names(language)]
        return [name for name in names if name.casefold() != word]


def _cuts_letter(text: str, start: int, end: int) -> bool:
    """Whether a combining mark is before or after the span; to `re` it ends a word."""
    return any(_EXTEND.match(text, place) for place in (start - 1, end) if place >= 0)


@cache
def _build_entry_pattern(entries: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern of all entries, longest first; alphabetic entries match whole words."""
    ordered = sorted(entries, key=lambda entry: (-len(entry), entry))
    parts = [rf"\b{re.escape(e)}\b" if not _HAN.search(e) else re.escape(e) for e in ordered]
    return re.compile("|".join(parts), re.IGNORECASE)
