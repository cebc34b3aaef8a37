"""Render templates of this folder; the page has every text in English and Chinese."""

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lockstep.metrics.metric_display import format_bytes, spell_out
from lockstep.reporting.texts import Text, get_chinese, get_english, read_catalog, translate_term

MAX_CHARACTERS = 600
"""Maximum number of characters of a text in an example."""


def render(name: str, values: dict[str, Any]) -> str:
    """Render a template of this folder. All values are escaped, and an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        anchor=make_anchor,
        both=show_both,
        clip=clip,
        code=quote_as_code,
        markdown=escape_markdown,
        percent="{:.1%}".format,
        size=format_bytes,
        term=translate_term,
        words=spell_out,
    )
    environment.globals["t"] = show_message
    return environment.get_template(name).render(values)


def show_message(message: str, **values: object) -> Markup:
    """Return a message in both languages as HTML, with the escaped values in its {fields}."""
    english, chinese = (
        Markup(escape(text)).format(  # noqa: S704 - escaped, and format escapes the values
            **{name: choose(value) for name, value in values.items()}
        )
        for text, choose in ((message, get_english), (read_catalog()[message], get_chinese))
    )
    return _join_languages(english, chinese)


def show_both(term: object) -> Markup:
    """Return a Text, or a term with the translation that chinese.json may have, as HTML."""
    if isinstance(term, Markup):
        return term
    text = translate_term(str(term)) if not isinstance(term, Text) else term
    return _join_languages(escape(text.en), escape(text.zh))


def make_anchor(name: str) -> str:
    """Return a name as part of an id in HTML."""
    return re.sub(r"[^\w-]", "-", name)


def clip(text: str) -> str:
    """Return a text, or the beginning of a long text with its length."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}… ({len(text):,} characters)"


def quote_as_code(text: str) -> Markup:
    """Return a text on one line, clipped, as code in Markdown, which shows it literally."""
    line = clip(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
    runs = [0, *map(len, re.findall("`+", line))]
    fence = "`" * (max(runs) + 1)
    space = " " if "`" in line[:1] + line[-1:] else ""
    return Markup(f"{fence}{space}{line}{space}{fence}")  # noqa: S704 - code shows HTML literally


def escape_markdown(text: str) -> Markup:
    """Escape HTML and Markdown in a text, so that a line of Markdown shows it literally."""
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", str(escape(text)))
    return Markup(escaped)  # noqa: S704 - escaped in the line above


def _join_languages(english: Markup, chinese: Markup) -> Markup:
    """Return both texts, each in an element of its language; equal texts need none."""
    if english == chinese:
        return english
    return Markup('<span lang="en">{}</span><span lang="zh">{}</span>').format(english, chinese)
