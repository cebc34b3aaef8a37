"""Regular expressions in params and rules, which are checked when they are read."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field


def _check_pattern(pattern: str) -> str:
    """Return a regular expression; raise ValueError if it is none."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_check_pattern)]
"""A regular expression."""
