"""Texts in English and Chinese: sentences of the report and terms of the field.

The Chinese translations are in chinese.json, by the English message.
"""

import json
from functools import cache
from pathlib import Path

CATALOG = Path(__file__).parent / "chinese.json"
"""English message -> Chinese message, with the same {fields}."""


class Text(str):
    """A text in English, with its Chinese translation in `zh`."""

    __slots__ = ("zh",)
    zh: str

    def __new__(cls, en: str, zh: str) -> "Text":
        """Create a text from both languages."""
        text = super().__new__(cls, en)
        text.zh = zh
        return text

    @property
    def en(self) -> str:
        """Return the English text."""
        return str(self)


def say(message: str, **values: object) -> Text:
    """Return a message in both languages, with the values in its {fields}.

    A value that is a Text is filled in by language. Raise KeyError if chinese.json lacks the
    message.
    """
    english = {name: get_english(value) for name, value in values.items()}
    chinese = {name: get_chinese(value) for name, value in values.items()}
    return Text(message.format(**english), read_catalog()[message].format(**chinese))


def translate_term(term: str) -> Text:
    """Return a term in both languages; a term that chinese.json lacks, such as a label, stays."""
    return term if isinstance(term, Text) else Text(term, read_catalog().get(term, term))


def join_texts(separator: str, texts: "list[Text]") -> Text:
    """Join texts; the Chinese separator is that of chinese.json."""
    return Text(
        separator.join(text.en for text in texts),
        read_catalog()[separator].join(text.zh for text in texts),
    )


def capitalize(text: str) -> Text:
    """Return a text whose English begins with a capital letter."""
    return Text(text[:1].upper() + text[1:], str(get_chinese(text)))


def get_english(value: object) -> object:
    """Return the English of a Text, and any other value itself."""
    return value.en if isinstance(value, Text) else value


def get_chinese(value: object) -> object:
    """Return the Chinese of a Text, and any other value itself."""
    return value.zh if isinstance(value, Text) else value


@cache
def read_catalog() -> dict[str, str]:
    """Read chinese.json."""
    catalog: dict[str, str] = json.loads(CATALOG.read_text(encoding="utf-8"))
    return catalog
