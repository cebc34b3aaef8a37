"""Keys of older versions of params.yaml and their new places."""

from typing import Any

MOVED_KEYS = {
    "people": "human",
}
"""Old key -> new key. A star stands for each item of a list or mapping."""


def remove_moved_keys(values: dict[str, Any]) -> list[str]:
    """Remove all old keys from the values and return a line for each that says where it went."""
    return [
        f"{old}: moved to {new}"
        for old, new in MOVED_KEYS.items()
        if _remove(values, old.split("."))
    ]


def _remove(values: Any, path: list[str]) -> bool:
    """Remove a key at a path; return whether it was there."""
    first, *rest = path
    if first == "*":
        items = list(values.values()) if isinstance(values, dict) else values
        removed = [_remove(item, rest) for item in items] if isinstance(items, list) else []
        return any(removed)
    if not isinstance(values, dict) or first not in values:
        return False
    if rest:
        return _remove(values[first], rest)
    del values[first]
    return True
