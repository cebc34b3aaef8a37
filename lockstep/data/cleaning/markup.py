"""Cleaning step `html`: tags and entities of prose that was copied from web pages.

The step is made for `<p>Hello <b>you</b> &amp; me</p>`, so it has narrow rules.

Tags are removed from a text if

- the text is not an assistant's answer or reasoning, a system message or a tool's result,
- every tag in it formats prose (`FORMATTING_TAGS`) and has no attributes but `name=value`,
- each opening tag has its closing tag; p, li, dt, dd, br and hr need none,
- there is at least one such pair, or a `<br>` after the mark that ends a sentence, or two in a row,
- and the text does not speak of markup (HTML, XML, CSS, tag …).

All other tags are content: they stay, and so do the entities of a text that keeps a tag, be it
escaped (`&lt;br&gt;`). Elsewhere an entity that ends in `;` is replaced by its character, once:

- `&amp;` stays before something that reads as an entity (`&amp;lt;`), so nothing is decoded twice;
- `&lt;` is replaced only before a blank, a digit, `=` or the text's end, and `&gt;` only after a
  blank, `-`, `=` or the text's begin, so no entity ever becomes a tag.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from html.entities import html5

from lockstep.data.cleaning.code_detection import Span

_PAIRED = (
    "a|abbr|b|big|blockquote|center|cite|div|dl|em|font|h[1-6]|i|ol|q|s|small|span|strike"
    "|strong|u|ul"
)
_UNPAIRED = "p|li|dt|dd|br|hr"
FORMATTING_TAGS = f"{_PAIRED}|{_UNPAIRED}"
"""Tags that prose is formatted with. Tables, images, code, sub- and superscripts are not among
them: their text means something else without the tags."""

_TAG = re.compile(
    r"<!--.{0,5000}?-->|<!\[CDATA\[.{0,5000}?\]\]>|<\?[A-Za-z][^<>]*\?>|<![A-Za-z][^<>]*>|"
    r"<(?P<close>/)?(?P<name>[^\W\d_][\w:.-]*)(?P<attributes>(?:\s[^<>]*)?)(?P<void>/?)>",
    re.DOTALL,
)
_TAG_BEGIN = re.compile(r"<[A-Za-z/!?]")
_ESCAPED_TAG = re.compile(
    r"&(?:amp;)*(?:lt|LT|#0*60|#[xX]0*3[cC]);(?:/?[A-Za-z]|!--|!\w|\?)(?:[^<>&\n]|&(?:amp;)*(?:quot|apos|#39|#34|nbsp);)*?"
    r"&(?:amp;)*(?:gt|GT|#0*62|#[xX]0*3[eE]);"
)
_FORMATTING_NAME = re.compile(FORMATTING_TAGS, re.IGNORECASE)
_UNPAIRED_NAME = re.compile(_UNPAIRED, re.IGNORECASE)
_ATTRIBUTES = re.compile(r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))*\s*")
_MARKUP_WORD = re.compile(
    r"\b(?i:x?html5?|xml|svg|jsx|css|markup)\b|\b[Tt]ags\b|\btag\b|标签|标记|標籤|標記|タグ|태그"
)
_MARKUP_WORDS = (
    "html", "xml", "svg", "jsx", "css", "markup", "tag", "标", "標", "タグ", "태그",
)  # fmt: skip
"""Parts of the words above, in small letters, for a quick check."""
_LINE_BREAK = re.compile(r"[.!?…。！？:：]\s*<br\s*/?>|<br\s*/?>\s*<br\s*/?>", re.IGNORECASE)
_BREAK = re.compile(
    r"<(?:br|hr)(?:\s[^<>]*)?/?>|</(?:p|div|li|dt|dd|h[1-6]|blockquote)\s*>", re.IGNORECASE
)

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_FOLLOWS = re.compile(r"#?[A-Za-z0-9]+;")
_AFTER_LESS = re.compile(r"[\s\d=]|\Z")


def has_markup(text: str) -> bool:
    """Whether the text has a tag or an entity that ends in `;`."""
    return ("<" in text and _TAG_BEGIN.search(text) is not None) or (
        "&" in text and _ENTITY.search(text) is not None
    )


def has_escaped_tag(text: str) -> bool:
    """Whether the text has a tag that is escaped (`&lt;br&gt;`)."""
    return _ESCAPED_TAG.search(text) is not None


def find_kept_markup(text: str, *, strip_tags: bool) -> Iterator[Span]:
    """Yield the spans of the tags and elements that are content, in order.

    `strip_tags` says that the text is no answer, so that formatting tags may be no content.
    """
    tags = list(_TAG.finditer(text)) if "<" in text else []
    if strip_tags and _is_formatted_prose(text, tags):
        tags = []
        if "&" not in text:
            return
    escaped = _ESCAPED_TAG.finditer(text) if "&" in text else ()
    yield from _join_spans(_list_elements(tags), [match.span() for match in escaped])


def remove_tags(text: str) -> str:
    """Remove all tags and comments of formatted prose; some end a line."""
    return _TAG.sub("", _BREAK.sub("\n", text)) if "<" in text else text


def replace_entities(text: str) -> str:
    """Replace entities that end in `;` by their characters, where that makes no tag or entity."""
    return _ENTITY.sub(_replace_entity, text)


def _replace_entity(match: re.Match[str]) -> str:
    entity, text = match.group(), match.string
    if entity[1] != "#" and entity[1:] not in html5:
        return entity
    character = html.unescape(entity)
    before, after = text[: match.start()][-1:], text[match.end() :]
    if before in ("<", "&") or character in ("", "\ufffd", "\0"):
        return entity
    is_kept = (
        (character == "&" and _ENTITY_FOLLOWS.match(after))
        or (character == "<" and not _AFTER_LESS.match(after))
        or (character == ">" and not (before == "" or before.isspace() or before in "-="))
    )
    return entity if is_kept else character


def _is_formatted_prose(text: str, tags: list[re.Match[str]]) -> bool:
    """Whether the tags only format prose."""
    if not tags or not all(map(_is_formatting, tags)):
        return False
    pairs = _count_pairs(tags)
    if pairs is None or not (pairs or _LINE_BREAK.search(text)):
        return False
    prose = _TAG.sub(" ", text)
    lower = prose.lower()
    return not (any(map(lower.__contains__, _MARKUP_WORDS)) and _MARKUP_WORD.search(prose))


def _is_formatting(tag: re.Match[str]) -> bool:
    name = tag["name"]
    if name is None:
        return tag.group().startswith("<!--")
    return _FORMATTING_NAME.fullmatch(name) is not None and (
        not tag["attributes"] or _ATTRIBUTES.fullmatch(tag["attributes"].rstrip("/")) is not None
    )


def _count_pairs(tags: list[re.Match[str]]) -> int | None:
    """Return the number of closed tags; None if a tag that needs its pair has none."""
    open_tags: list[str] = []
    pairs = 0
    for tag in tags:
        name = (tag["name"] or "").lower()
        if not name or name in ("br", "hr") or tag["void"]:
            continue
        if not tag["close"]:
            open_tags.append(name)
            continue
        while open_tags and open_tags[-1] != name and _UNPAIRED_NAME.fullmatch(open_tags[-1]):
            open_tags.pop()
        if not open_tags or open_tags.pop() != name:
            return None
        pairs += 1
    return pairs if all(map(_UNPAIRED_NAME.fullmatch, open_tags)) else None


def _list_elements(tags: list[re.Match[str]]) -> list[Span]:
    """Return the spans of the outermost elements, and of the tags outside of them."""
    spans: list[Span] = []
    open_tags: list[tuple[str, int]] = []
    numbers: Counter[str] = Counter()
    for tag in tags:
        name, span = (tag["name"] or "").lower(), tag.span()
        if name and tag["close"]:
            while numbers[name]:
                other, begin = open_tags.pop()
                numbers[other] -= 1
                if other == name:
                    span = (begin, span[1])
                    break
        elif name and not tag["void"]:
            open_tags.append((name, span[0]))
            numbers[name] += 1
        spans.append(span)
    return _join_spans(spans, [])


def _join_spans(spans: list[Span], others: list[Span]) -> list[Span]:
    """Return the spans in order, without those that lie within another."""
    joined: list[Span] = []
    for begin, end in sorted([*spans, *others], key=lambda span: (span[0], -span[1])):
        if not joined or begin >= joined[-1][1]:
            joined.append((begin, end))
        elif end > joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
    return joined
