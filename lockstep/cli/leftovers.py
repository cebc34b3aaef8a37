"""Outputs of older versions that no stage writes or reads any more."""

from pathlib import Path

LEFTOVERS = {
    "data/evaluated": "remove it; predictions are in data/predicted now",
    "data/people": "move your ratings to data/human and remove it",
}
"""Path -> what to do about it."""


def describe_leftovers(root: Path = Path()) -> list[str]:
    """Return a line for each leftover of an older version below the repository's root."""
    return [
        f"{path}: leftover of an older version; {remedy}"
        for path, remedy in LEFTOVERS.items()
        if (root / path).exists()
    ]
