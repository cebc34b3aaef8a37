"""Soil clean rows as real life does, so that every label stays right."""

import copy
import re
from collections.abc import Callable

from phrasing import Dice, Row

FULL_WIDTH = {ord(mark): ord(mark) + 0xFEE0 for mark in "0123456789,.?!:"}
HALF_WIDTH = str.maketrans("，。？！：", ",.?!:")
Change = Callable[[str], str]


def change_width(text: str) -> str:
    return text.translate(FULL_WIDTH if text.isascii() else HALF_WIDTH)


def change_stop(text: str) -> str:
    return text.rstrip(".?。？") + ("!!" if text.isascii() else "！！")


def change_space(text: str) -> str:
    return " " + (text.replace(" ", "  ") if text.isascii() else re.sub(r"(\d+)", r" \1 ", text))


def change_number(text: str) -> str:
    return re.sub(r"\d{4}", lambda match: str(10999 - int(match[0])), text)


def indent(text: str) -> str:
    return "  " + text


def trailing_blanks(text: str) -> str:
    return text + "  "


def zero_width_space(text: str) -> str:
    return f"{text[:-1]}\u200b{text[-1]}"


def no_break_space(text: str) -> str:
    return text.replace(" ", "\u00a0", 1) if " " in text else "\u00a0" + text


INVISIBLE: list[Change] = [trailing_blanks, zero_width_space, no_break_space]
NEAR: dict[str, list[Change]] = {
    "intent.csv": [str.upper, change_stop, change_space, change_width, change_number],
    "slots.jsonl": [change_stop, indent],  # slot values must stay literal
    "replies.jsonl": [str.upper, change_stop, change_space, change_width],
}


def edit(row: Row, change: Change) -> Row:
    """A copy of a row with the customer's (first) words changed."""
    row = copy.deepcopy(row)
    turns = row.get("messages", [row])
    place = next(turn for turn in turns if turn.get("role", "user") == "user")
    key = next(key for key in ("content", "text", "input") if key in place)
    place[key] = change(place[key])
    return row


def soil(rows: list[Row], name: str, dirt: dict[str, int]) -> None:
    """Change rows in place, then add duplicates; each row is taken for one purpose only."""
    dice = Dice(f"dirt {name}")
    order = dice.shuffle(list(range(len(rows))))

    def take(change: Change) -> int:
        while edit(rows[order[-1]], change) == rows[order[-1]]:
            order.insert(0, order.pop())
        return order.pop()

    disguises: list[Change] = [change_width] * dirt.get("disguised", 0)
    for change in disguises + [INVISIBLE[i % len(INVISIBLE)] for i in range(dirt["invisible"])]:
        index = take(change)
        rows[index] = edit(rows[index], change)
    added = [rows[order.pop()] for _ in range(dirt["duplicates"])]
    for number in range(dirt["near_duplicates"]):
        change = NEAR[name][number % len(NEAR[name])]
        added.append(edit(rows[take(change)], change))
    for row in added:
        rows.insert(dice.below(len(rows) + 1), row)
