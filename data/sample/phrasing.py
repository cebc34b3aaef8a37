"""Turn the phrasing files into sentences by throws that are the same on every machine."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

T = TypeVar("T")
Row = dict[str, Any]
HERE = Path(__file__).parent
INNERMOST_BRACES = re.compile(r"\{([^{}]*)\}")


def read(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((HERE / name).read_text("utf-8"))


class Dice:
    """Hashes of a seed and a counter: `random` does not promise equal throws across Pythons."""

    def __init__(self, seed: str) -> None:
        self.seed, self.throws = seed, 0

    def below(self, n: int) -> int:
        self.throws += 1
        digest = hashlib.sha256(f"{self.seed} {self.throws}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % n

    def pick(self, options: list[T]) -> T:
        return options[self.below(len(options))]

    def shuffle(self, rows: list[T]) -> list[T]:
        for i in range(len(rows) - 1, 0, -1):
            j = self.below(i + 1)
            rows[i], rows[j] = rows[j], rows[i]
        return rows


def templates(block: str) -> list[tuple[str, str]]:
    """(difficulty, template) of each line; `~` marks a hard one."""
    lines = block.splitlines()
    return [("hard", line[2:]) if line.startswith("~ ") else ("easy", line) for line in lines]


def fill(
    template: str, dice: Dice, vocabulary: dict[str, list[str]], values: dict[str, str]
) -> str:
    """Replace {name} by a word, {a|b} by a choice; `values` keeps words for the next template."""
    while match := INNERMOST_BRACES.search(template):
        inside = match[1]
        if "|" in inside:
            word = dice.pick(inside.split("|"))
        elif inside in values:
            word = values[inside]
        else:
            word = values[inside] = dice.pick(vocabulary[inside])
        template = template[: match.start()] + word + template[match.end() :]
    return template


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def utter(difficulty: str, template: str, dice: Dice, vocabulary: dict[str, list[str]]) -> str:
    """A template as a customer writes it: with or without greeting, distraction, full stop."""
    text = fill(template, dice, vocabulary, {})
    closing = dice.pick(vocabulary["closing"]) if dice.below(3) == 0 else ""
    if not text.endswith(("?", "？")) and (closing or dice.below(3)):
        text += "." if text.isascii() else "。"
    if difficulty == "hard" and dice.below(2):
        text = dice.pick(vocabulary["distraction"]) + capitalised(text)
    elif dice.below(2):
        text = dice.pick(vocabulary["opening"]) + text
    elif dice.below(6):
        text = capitalised(text)
    return text + closing


def distinct(count: int, make: Callable[[int], Row]) -> list[Row]:
    """The first `count` different rows among make(0), make(1), ..."""
    rows: dict[str, Row] = {}
    number = 0
    while len(rows) < count:
        row = make(number)
        rows.setdefault(json.dumps(row, sort_keys=True), row)
        number += 1
    return list(rows.values())
