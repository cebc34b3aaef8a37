"""JSON objects and arrays within a text."""

import json
import re
from collections.abc import Iterator

_JSON_BEGIN = re.compile(r"""\{(?=\s*["}])|(?<![A-Za-z0-9_\])])\[(?=\s*["\[\]{\d\-tfnNI])""")
"""A bracket with a character after it that may follow it in JSON. The decoder would find out as
well, but an error makes it count the lines of the text up to there."""
_DECODER = json.JSONDecoder()
_FAILED_CHARACTERS_PER_CHARACTER = 20
"""Limit of the characters that are read in vain while looking for JSON, per character of text."""


def find_json(text: str) -> Iterator[tuple[int, int]]:
    """Yield the span of each JSON object or array in a text."""
    position, failed = 0, 0
    while match := _JSON_BEGIN.search(text, position):
        position = match.start()
        try:
            _, end = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            failed += error.pos - position
            end = position + 1
        except RecursionError:
            return
        else:
            yield position, end
        if failed > _FAILED_CHARACTERS_PER_CHARACTER * len(text):
            return
        position = end
