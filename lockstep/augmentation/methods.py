"""The methods that params.yaml can name, each with the values it takes."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lockstep.augmentation import back_translation, noise, paraphrase, synonyms, words
from lockstep.augmentation.synonyms import Synonyms
from lockstep.hub import auxiliary_models
from lockstep.hub.auxiliary_models import ModelReference
from lockstep.params import Fraction, NaturalInt, PositiveInt, Section
from lockstep.records import Record

Draws = Sequence[random.Random]
"""A source of random numbers for each text."""

_ON_WORDS: dict[str, Callable[..., str]] = {
    "deletion": words.delete,
    "swap": words.swap,
    "keyboard": noise.keyboard,
    "homophones": noise.homophones,
    "width": noise.width,
    "case": noise.case,
}


class Method(Section):
    """What all methods have."""

    loads_a_model: ClassVar[bool] = False
    """Whether it computes with tensors, whose last bits depend on `compute`; an answer that is
    kept wins."""
    share: Fraction
    """Share of the training records that get a child by it."""
    tasks: list[str]
    """Only records of these tasks; empty: of all."""
    slices: dict[str, list[str]]
    """Only records with one of these values in each of these slices; empty: all."""

    def suits(self, record: Record) -> bool:
        """Whether the method is meant for the record."""
        return (not self.tasks or record.task in self.tasks) and all(
            record.slices.get(name) in values for name, values in self.slices.items()
        )


class OnWords(Method):
    """A method that changes a share of the words or letters."""

    method: Literal["deletion", "swap", "keyboard", "homophones", "width", "case"]
    rate: Fraction
    """Share of the words, or letters, that change; at least one."""

    def rephrase(
        self, rows: Sequence[Record], draws: Draws, kept: Sequence[list[str]]
    ) -> list[str]:
        """A new phrasing of each row's question, in which the kept texts stay."""
        change = _ON_WORDS[self.method]
        return [
            change(row.question, self.rate, draw, texts)
            for row, draw, texts in zip(rows, draws, kept, strict=True)
        ]


class Dictionary(Method):
    """Synonyms of the domain dictionary."""

    method: Literal["synonyms"]
    rate: Fraction
    """Share of the dictionary's words in the text that change; at least one."""

    def rephrase(
        self, rows: Sequence[Record], draws: Draws, kept: Sequence[list[str]], known: Synonyms
    ) -> list[str]:
        """A new phrasing of each row's question, in which the kept texts stay."""
        return [
            synonyms.from_dictionary(row.question, self.rate, draw, texts, known)
            for row, draw, texts in zip(rows, draws, kept, strict=True)
        ]


class WordNet(Method):
    """Synonyms of WordNet for English, of Open Multilingual WordNet for Chinese."""

    method: Literal["wordnet"]
    rate: Fraction
    """Share of the known words that change; at least one."""
    folder: str
    """An nltk_data folder with corpora/wordnet and, for Chinese, corpora/omw-2.0."""

    def rephrase(
        self, rows: Sequence[Record], draws: Draws, kept: Sequence[list[str]]
    ) -> list[str]:
        """A new phrasing of each row's question, in which the kept texts stay."""
        net = synonyms.WordNet(Path(self.folder))
        return [
            net.rephrase(row.question, self.rate, draw, texts)
            for row, draw, texts in zip(rows, draws, kept, strict=True)
        ]


class BackTranslation(Method):
    """Into another language and back."""

    method: Literal["back_translation"]
    loads_a_model: ClassVar = True
    there: ModelReference
    """A seq2seq model into the other language."""
    back: ModelReference
    """The model that comes back."""
    batch_size: PositiveInt
    max_new_tokens: PositiveInt

    def rephrase(
        self, rows: Sequence[Record], draws: Draws, kept: Sequence[list[str]]
    ) -> list[str]:
        """A new phrasing of each row's question; what loses a kept text is left out later."""
        return back_translation.there_and_back(
            [row.question for row in rows],
            auxiliary_models.resolve_model(self.there),
            auxiliary_models.resolve_model(self.back),
            self.batch_size,
            self.max_new_tokens,
        )


class Paraphrase(Method):
    """Paraphrases by an OpenAI-compatible endpoint; its key comes from OPENAI_API_KEY."""

    method: Literal["paraphrase"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Up to /v1."""
    model: str
    prompt: str
    """The system turn; the question is the user turn."""
    temperature: Annotated[float, Field(ge=0, le=2)]
    seed: NaturalInt
    """Sent with each request."""

    def rephrase(
        self, rows: Sequence[Record], draws: Draws, kept: Sequence[list[str]]
    ) -> list[str]:
        """A new phrasing of each row's question; what loses a kept text is left out later."""
        questions = [row.question for row in rows]
        return paraphrase.by_endpoint(
            questions, self.url, self.model, self.prompt, self.temperature, self.seed
        )


class LocalParaphrase(Method):
    """Paraphrases by a chat model that runs here."""

    method: Literal["local_paraphrase"]
    loads_a_model: ClassVar = True
    model: ModelReference
    prompt: str
    """The system turn; the question is the user turn."""
    batch_size: PositiveInt
    max_new_tokens: PositiveInt

    def rephrase(
        self, rows: Sequence[Record], draws: Draws, kept: Sequence[list[str]], attention: str
    ) -> list[str]:
        """A new phrasing of each row's question; what loses a kept text is left out later."""
        return paraphrase.by_model(
            [row.question for row in rows],
            auxiliary_models.resolve_model(self.model),
            attention,
            self.prompt,
            self.batch_size,
            self.max_new_tokens,
        )


Any = Annotated[
    OnWords | Dictionary | WordNet | BackTranslation | Paraphrase | LocalParaphrase,
    Field(discriminator="method"),
]
"""One entry of augment.methods."""
