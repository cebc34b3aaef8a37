"""Mask personal data in what people wrote, before it is stored."""

import re
from collections.abc import Sequence
from typing import Any

from lockstep.data.personal_data import mask_personal_data

MASK = "[MASKED]"
"""Text in place of what a pattern of serving.log_patterns matches."""


class TextMasker:
    """Replaces personal data by placeholders, as the cleaning step `personal_data` does."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Also replace what some regular expressions match."""
        self._patterns = [re.compile(pattern, re.MULTILINE) for pattern in patterns]

    def mask_text(self, text: str) -> str:
        """Return a text without the personal data that the patterns find."""
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return mask_personal_data(text)

    def mask_values(self, values: Any) -> Any:
        """Return JSON values with each text masked, but for the keys of objects."""
        if isinstance(values, str):
            return self.mask_text(values)
        if isinstance(values, list):
            return [self.mask_values(value) for value in values]
        if isinstance(values, dict):
            return {name: self.mask_values(value) for name, value in values.items()}
        return values
