"""The augmentation methods that params.yaml can list, each with its parameters."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lockstep.augmentation import back_translation, noise, paraphrase, synonyms, words
from lockstep.hub import auxiliary_models
from lockstep.hub.auxiliary_models import ModelReference
from lockstep.models import compute
from lockstep.models.compute import ComputeParams
from lockstep.params import Fraction, NaturalInt, PositiveInt, Section
from lockstep.records import Record

PARAPHRASE_PROMPT = (
    "Paraphrase the user's message in the same language. Keep its meaning and every name and "
    "number. Reply with the paraphrase alone."
)

_WORD_METHODS: dict[str, Callable[..., str]] = {
    "deletion": words.delete_words,
    "swap": words.swap_words,
    "keyboard": noise.add_keyboard_typos,
    "homophones": noise.replace_homophones,
    "width": noise.widen_characters,
    "case": noise.swap_case,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to rephrase."""

    text: str
    rng: random.Random
    """Source of all random choices for this text."""
    protected: Sequence[str]
    """Parts of the text that must not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Inputs that some methods need beside the questions."""

    dictionary: Path
    """File of synonyms, as `synonyms.read_dictionary` reads it."""
    compute: ComputeParams
    """Compute parameters of the methods that run a model."""
    seed: int
    """Seed of the methods that run a model."""


class BaseMethod(Section):
    """Parameters that all methods have."""

    share: Fraction = 0.1
    """Share of the training records that the method rephrases, 0 to 1."""
    tasks: list[str] = []
    """Tasks whose records are rephrased; [] means all tasks."""
    slices: dict[str, list[str]] = {}
    """Slice values whose records are rephrased, e.g. {language: [zh]}; {} means all records."""

    def applies_to(self, record: Record) -> bool:
        """Whether the record has one of the method's tasks and slice values."""
        return (not self.tasks or record.task in self.tasks) and all(
            record.slices.get(name) in values for name, values in self.slices.items()
        )

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return a new wording of each question.

        Methods that run a model may lose protected parts; such results are discarded later.
        """
        raise NotImplementedError


class WordMethod(BaseMethod):
    """Change a share of the words or letters at random."""

    method: Literal["deletion", "swap", "keyboard", "homophones", "width", "case"]
    """Deletion or swap of words, wrong keys, homophones, full-width characters, or case."""
    share: Fraction = 0.05
    """Share of the training records that the method rephrases, 0 to 1."""
    rate: Fraction = 0.05
    """Share of the words or letters that change, 0 to 1; at least one changes."""

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return each question with some words or letters changed."""
        change = _WORD_METHODS[self.method]
        return [change(q.text, self.rate, q.rng, q.protected) for q in questions]


class SynonymMethod(BaseMethod):
    """Replace words by synonyms from data/synonyms.tsv."""

    method: Literal["synonyms"]
    """Name of the method."""
    rate: Fraction = 0.5
    """Share of the words found in the dictionary that change, 0 to 1; at least one changes."""

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return each question with some words replaced by synonyms of the dictionary."""
        dictionary = synonyms.read_dictionary(resources.dictionary) if questions else {}
        return [
            synonyms.replace_synonyms(q.text, self.rate, q.rng, q.protected, dictionary)
            for q in questions
        ]


class WordNetMethod(BaseMethod):
    """Replace words by synonyms from WordNet (English) or Open Multilingual WordNet (Chinese)."""

    method: Literal["wordnet"]
    """Name of the method."""
    rate: Fraction = 0.1
    """Share of the words found in WordNet that change, 0 to 1; at least one changes."""
    folder: str
    """Path of an nltk_data folder with corpora/wordnet and corpora/omw-2.0."""

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return each question with some words replaced by synonyms of WordNet."""
        wordnet = synonyms.WordNet(Path(self.folder))
        return [wordnet.replace_synonyms(q.text, self.rate, q.rng, q.protected) for q in questions]


class BackTranslationMethod(BaseMethod):
    """Translate into another language and back, with two seq2seq models."""

    method: Literal["back_translation"]
    """Name of the method."""
    there: ModelReference
    """Model that translates into the other language: a folder or owner/name@revision."""
    back: ModelReference
    """Model that translates back: a folder or owner/name@revision."""
    batch_size: PositiveInt = 16
    """Number of texts that are translated together."""
    max_new_tokens: PositiveInt = 128
    """Maximum length of a translation, in tokens."""

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return each question translated there and back."""
        compute.set_up_torch(resources.compute, resources.seed)
        return back_translation.back_translate(
            [question.text for question in questions],
            auxiliary_models.resolve_model(self.there),
            auxiliary_models.resolve_model(self.back),
            self.batch_size,
            self.max_new_tokens,
        )


class EndpointParaphraseMethod(BaseMethod):
    """Paraphrase with an OpenAI-compatible endpoint; the API key comes from OPENAI_API_KEY."""

    method: Literal["paraphrase"]
    """Name of the method."""
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Base URL of the endpoint, usually ending in /v1."""
    model: str
    """Name of the model at the endpoint."""
    prompt: str = PARAPHRASE_PROMPT
    """System turn of each request; the question is the user turn."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """Sampling temperature, 0 to 2."""
    seed: NaturalInt = 1
    """Sampling seed that is sent with each request."""

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return the endpoint's paraphrase of each question."""
        texts = [question.text for question in questions]
        return paraphrase.paraphrase_by_endpoint(
            texts, self.url, self.model, self.prompt, self.temperature, self.seed
        )


class LocalParaphraseMethod(BaseMethod):
    """Paraphrase with a chat model on this machine, decoded greedily."""

    method: Literal["local_paraphrase"]
    """Name of the method."""
    model: ModelReference
    """The chat model: a folder or owner/name@revision."""
    prompt: str = PARAPHRASE_PROMPT
    """System turn of each conversation; the question is the user turn."""
    batch_size: PositiveInt = 16
    """Number of texts that are paraphrased together."""
    max_new_tokens: PositiveInt = 128
    """Maximum length of a paraphrase, in tokens."""

    def rephrase(self, questions: Sequence[Question], resources: Resources) -> list[str]:
        """Return the local model's paraphrase of each question."""
        return paraphrase.paraphrase_locally(
            [question.text for question in questions],
            auxiliary_models.resolve_model(self.model),
            resources.compute,
            resources.seed,
            self.prompt,
            self.batch_size,
            self.max_new_tokens,
        )


Method = Annotated[
    WordMethod
    | SynonymMethod
    | WordNetMethod
    | BackTranslationMethod
    | EndpointParaphraseMethod
    | LocalParaphraseMethod,
    Field(discriminator="method"),
]
"""One entry of augment.methods; its key `method` selects the class."""
