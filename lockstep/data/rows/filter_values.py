"""Values as the setting `where` compares them: null, and text that spells a number."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from lockstep.data.rows import column_values

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class ConditionError(ValueError):
    """A condition cannot be parsed, or cannot be applied to a row."""


def read_number(value: Any) -> Any:
    """Return a number, also one that is written as text; None for any other value."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


def read_truth(value: Any, text: str) -> bool:
    """Return a truth value, also one that is written as text; null counts as false."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ConditionError(
        f"{text} is {show_typed(value)}, not true or false; compare it with a value"
    )


def are_equal(left: Any, right: Any) -> bool:
    """Whether two values are equal. A text equals the number or truth value that it spells."""
    if isinstance(left, str) == isinstance(right, str):
        return bool(left == right)
    text, value = (left, right) if isinstance(left, str) else (right, left)
    if isinstance(value, bool):
        return bool(text.strip().lower() == str(value).lower())
    return value is not None and read_number(text) == value


def compare_order(left: Any, right: Any, compare: Callable[[Any, Any], Any]) -> bool:
    """Compare two numbers or two texts; null is neither smaller nor larger than anything."""
    if left is None or right is None:
        return False
    if isinstance(left, str) != isinstance(right, str):
        left, right = read_number(left), read_number(right)
    return bool(compare(left, right))


def is_in(value: Any, container: Any) -> bool:
    """Whether a list has an equal element, a text this part, or an object this key."""
    if container is None:
        return False
    if isinstance(container, list):
        return any(are_equal(value, item) for item in container)
    return value is not None and value in container


def describe_values(texts: list[str], values: list[Any]) -> str:
    """Say which values cannot be compared, and how to compare them as numbers."""
    pairs = zip(texts, values, strict=True)
    shown = [
        text if text == repr(value) else f"{text} {show_typed(value)}" for text, value in pairs
    ]
    has_text = any(isinstance(value, str) for value in values)
    remedy = f"; number({texts[0]}) is null where it is no number" if has_text else ""
    return f"cannot compare {' with '.join(shown)}{remedy}"


def show_typed(value: Any) -> str:
    """Return a value as text of at most 40 characters, with its type."""
    text = column_values.write_any_text(value) or "null"
    text = text if len(text) <= 40 else f"{text[:40]}…"
    return f"{text!r} ({type(value).__name__})"
