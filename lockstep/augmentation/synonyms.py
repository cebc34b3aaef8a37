"""Words of the same meaning: from a dictionary of the domain, or from WordNet."""

import random
import re
import warnings
from collections import Counter
from collections.abc import Collection
from functools import cache
from pathlib import Path

from lockstep.augmentation import words
from lockstep.errors import UserError

Synonyms = dict[str, list[str]]

_HAN = re.compile(r"[\u3400-\u9fff]")


def from_dictionary(
    text: str, rate: float, draw: random.Random, protected: Collection[str], synonyms: Synonyms
) -> str:
    """Words of the dictionary give way to a synonym; the longest entry is found first.

    A Chinese entry counts only where it is a word of the sentence: it cuts none in two.
    """
    found = [m.span() for m in _pattern(frozenset(synonyms)).finditer(text)]
    known = [(a, b) for a, b in found if text[a:b].casefold() in synonyms]  # i is not ı
    edges = {edge for span in words.spans(text) for edge in span}
    whole = [(a, b) for a, b in known if not _HAN.search(text[a:b]) or {a, b} <= edges]
    places = words.apart(whole, words.find(text, protected))
    return words.replace(text, rate, draw, places, synonyms.__getitem__)


def read(path: Path) -> Synonyms:
    """The dictionary: lines of language, word and comma-separated synonyms, tab between them."""
    synonyms: Synonyms = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        cells = [cell.strip(" ,") for cell in line.split("\t")]
        if len(cells) != 3 or not all(cells):
            raise UserError(f"{path}:{number}: must be language, word and synonyms, tab-separated")
        others = [word.strip() for word in cells[2].split(",") if word.strip()]
        synonyms.setdefault(cells[1].casefold(), []).extend(others)
    if not synonyms:
        raise UserError(f"{path}: empty; add synonyms or take the method out of augment.methods")
    return synonyms


class WordNet:
    """Synonyms by sense: Princeton WordNet for English, Open Multilingual WordNet for Chinese."""

    def __init__(self, folder: Path) -> None:
        """`folder` is an nltk_data folder: NLTK reads no WordNet that lies elsewhere."""
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
            raise UserError(f"{folder}: not the whole WordNet: {reason}; fetch it again") from None
        self.others = cache(self._others)

    def rephrase(
        self, text: str, rate: float, draw: random.Random, protected: Collection[str]
    ) -> str:
        """Words that WordNet knows give way to another word of their commonest sense."""
        known = [
            span
            for span in words.spans(text, protected)
            if self.others(text[slice(*span)].casefold())
        ]
        return words.replace(text, rate, draw, known, self.others)

    def _others(self, word: str) -> list[str]:
        """Other words of the commonest sense of the part of speech with most senses."""
        language = "cmn" if _HAN.search(word) else "eng"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Chinese senses that this WordNet lacks
            senses = [sense for sense in self._reader.synsets(word, lang=language) if sense]
        if not senses:
            return []
        kind = Counter(sense.pos() for sense in senses).most_common(1)[0][0]
        names = next(sense for sense in senses if sense.pos() == kind).lemma_names(language)
        plain = [name.replace("_", " ").replace("+", "") for name in names]
        return [name for name in plain if name.casefold() != word]


@cache
def _pattern(entries: frozenset[str]) -> re.Pattern[str]:
    """The longest entry first; words of an alphabet only as whole words."""
    ordered = sorted(entries, key=lambda word: (-len(word), word))
    parts = [rf"\b{re.escape(w)}\b" if not _HAN.search(w) else re.escape(w) for w in ordered]
    return re.compile("|".join(parts), re.IGNORECASE)
