"""Make clean rows dirty as real data is, without making any label wrong."""

import copy
import re
from collections.abc import Callable

from phrasing import HashRandom, Row

FULL_WIDTH = {ord(mark): ord(mark) + 0xFEE0 for mark in "0123456789,.?!:"}
HALF_WIDTH = str.maketrans("，。？！：", ",.?!:")
Edit = Callable[[str], str]


def change_width(text: str) -> str:
    return text.translate(FULL_WIDTH if text.isascii() else HALF_WIDTH)


def change_final_mark(text: str) -> str:
    return text.rstrip(".?。？") + ("!!" if text.isascii() else "！！")


def change_space(text: str) -> str:
    return " " + (text.replace(" ", "  ") if text.isascii() else re.sub(r"(\d+)", r" \1 ", text))


def change_number(text: str) -> str:
    return re.sub(r"\d{4}", lambda match: str(10999 - int(match[0])), text)


def indent(text: str) -> str:
    return "  " + text


def add_trailing_blanks(text: str) -> str:
    return text + "  "


def add_zero_width_space(text: str) -> str:
    return f"{text[:-1]}\u200b{text[-1]}"


def add_no_break_space(text: str) -> str:
    return text.replace(" ", "\u00a0", 1) if " " in text else "\u00a0" + text


INVISIBLE_EDITS: list[Edit] = [add_trailing_blanks, add_zero_width_space, add_no_break_space]
NEAR_DUPLICATE_EDITS: dict[str, list[Edit]] = {
    "intent.csv": [str.upper, change_final_mark, change_space, change_width, change_number],
    "slots.jsonl": [change_final_mark, indent],  # the values of slots must not change
    "replies.jsonl": [str.upper, change_final_mark, change_space, change_width],
}


def edit_row(row: Row, edit: Edit) -> Row:
    """Return a copy of a row in which the first text of the customer is edited."""
    row = copy.deepcopy(row)
    turns = row.get("messages", [row])
    turn = next(turn for turn in turns if turn.get("role", "user") == "user")
    key = next(key for key in ("content", "text", "input") if key in turn)
    turn[key] = edit(turn[key])
    return row


def make_dirty(rows: list[Row], name: str, counts: dict[str, int]) -> None:
    """Edit some rows in place, then insert exact and near-duplicates of other rows.

    `counts` says how many of each kind, as in dirt.yaml. No row is used twice.
    """
    rng = HashRandom(f"dirt {name}")
    order = rng.shuffle(list(range(len(rows))))

    def take_index(edit: Edit) -> int:
        """Return the index of an unused row that the edit changes."""
        while edit_row(rows[order[-1]], edit) == rows[order[-1]]:
            order.insert(0, order.pop())
        return order.pop()

    edits: list[Edit] = [change_width] * counts["width"]
    edits += [INVISIBLE_EDITS[i % len(INVISIBLE_EDITS)] for i in range(counts["invisible"])]
    for edit in edits:
        index = take_index(edit)
        rows[index] = edit_row(rows[index], edit)
    duplicates = [rows[order.pop()] for _ in range(counts["duplicates"])]
    near_edits = NEAR_DUPLICATE_EDITS.get(name, [])
    for number in range(counts["near_duplicates"]):
        edit = near_edits[number % len(near_edits)]
        duplicates.append(edit_row(rows[take_index(edit)], edit))
    for row in duplicates:
        rows.insert(rng.draw_below(len(rows) + 1), row)
