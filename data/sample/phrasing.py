"""Turn the templates of the YAML files into sentences, with the same random choices everywhere."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

T = TypeVar("T")
Row = dict[str, Any]
FOLDER = Path(__file__).parent
LANGUAGES = ["en", "zh"]
INNERMOST_BRACES = re.compile(r"\{([^{}]*)\}")


def read_yaml(name: str) -> Any:
    """Return the content of a YAML file beside this one."""
    return YAML(typ="safe", pure=True).load((FOLDER / name).read_text("utf-8"))


VOCABULARY = read_yaml("vocabulary.yaml")
for _words in VOCABULARY.values():
    _words["order"] = [str(number) for number in range(1000, 10000)]


class HashRandom:
    """Random numbers from hashes of a seed and a counter.

    The module `random` does not promise the same numbers in all versions of Python.
    """

    def __init__(self, seed: str) -> None:
        self.seed, self.counter = seed, 0

    def draw_below(self, n: int) -> int:
        """Return a random integer from 0 to n - 1."""
        self.counter += 1
        digest = hashlib.sha256(f"{self.seed} {self.counter}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % n

    def choose(self, options: list[T]) -> T:
        """Return a random element of a list."""
        return options[self.draw_below(len(options))]

    def shuffle(self, rows: list[T]) -> list[T]:
        """Shuffle a list in place and return it."""
        for i in range(len(rows) - 1, 0, -1):
            j = self.draw_below(i + 1)
            rows[i], rows[j] = rows[j], rows[i]
        return rows


def parse_templates(block: str) -> list[tuple[str, str]]:
    """Return (difficulty, template) for each line of a block; `~` marks a hard template."""
    lines = block.splitlines()
    return [("hard", line[2:]) if line.startswith("~ ") else ("easy", line) for line in lines]


def fill_template(
    template: str, rng: HashRandom, vocabulary: dict[str, list[str]], values: dict[str, str]
) -> str:
    """Replace {name} by a word and {a|b} by one of the alternatives.

    A name in `values` is replaced by its value there. Words drawn from the vocabulary are added to
    `values`, so that the next template can repeat them.
    """
    while match := INNERMOST_BRACES.search(template):
        content = match[1]
        if "|" in content:
            word = rng.choose(content.split("|"))
        elif content in values:
            word = values[content]
        else:
            word = values[content] = rng.choose(vocabulary[content])
        template = template[: match.start()] + word + template[match.end() :]
    return template


def capitalize(text: str) -> str:
    """Return the text with a capital first letter and the rest unchanged."""
    return text[:1].upper() + text[1:]


def end_sentence(text: str) -> str:
    """Return the text with a full stop if it does not end as a sentence."""
    if text.endswith((".", "。", "?", "？", "!", "！")):
        return text
    return text + ("." if text.isascii() else "。")


def write_utterance(
    difficulty: str, template: str, rng: HashRandom, vocabulary: dict[str, list[str]]
) -> str:
    """Fill a template as a customer might write it.

    At random, it gets a greeting, a distraction, a closing phrase and a full stop.
    """
    text = fill_template(template, rng, vocabulary, {})
    closing = rng.choose(vocabulary["closing"]) if rng.draw_below(3) == 0 else ""
    if not text.endswith(("?", "？")) and (closing or rng.draw_below(3)):
        text += "." if text.isascii() else "。"
    if difficulty == "hard" and rng.draw_below(2):
        text = rng.choose(vocabulary["distraction"]) + capitalize(text)
    elif rng.draw_below(2):
        text = rng.choose(vocabulary["opening"]) + text
    elif rng.draw_below(6):
        text = capitalize(text)
    return text + closing


def make_distinct_rows(count: int, make_row: Callable[[int], Row]) -> list[Row]:
    """Return the first `count` distinct rows among make_row(0), make_row(1), …"""
    rows: dict[str, Row] = {}
    number = 0
    while len(rows) < count:
        row = make_row(number)
        rows.setdefault(json.dumps(row, sort_keys=True), row)
        number += 1
    return list(rows.values())


def to_compact_json(values: Row) -> str:
    """Return JSON with sorted keys and no spaces."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def to_json_line(row: Row) -> str:
    """Return a row as one line of a JSON Lines file."""
    return json.dumps(row, ensure_ascii=False, sort_keys=True)
