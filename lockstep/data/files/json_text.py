"""Walk through the text of a JSON value, so that each row stays as it was written."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.errors import UserError

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n]*")
_BLANKS_OR_COMMAS = re.compile(r"[\s,]*")


class Member(NamedTuple):
    """A member of an object, or an element of an array, whose text is `text[start:end]`."""

    name: str
    """Name of a member; the position, from 0, of an element."""
    start: int
    end: int


@dataclass(slots=True)
class JsonText:
    """The text of a JSON file."""

    text: str
    path: Path
    first_line: int = 1
    """Number of the line in the file on which the text begins."""
    end: int = field(default=0, init=False)
    """End of the last array or object that was walked through."""
    _counted: int = field(default=0, init=False)
    _line: int = field(default=-1, init=False)
    _rank: int = field(default=0, init=False)

    def skip_blanks(self, position: int = 0) -> int:
        """Return the position of the next character that is not blank."""
        return _skip(_BLANKS, self.text, position)

    def find_place(self, position: int) -> str:
        """Return the line of a position as the place of a row, with the row's rank on that line.

        The positions of later calls must not be smaller.
        """
        line = self._line if self._line > 0 else self.first_line
        line += self.text.count("\n", self._counted, position)
        self._rank = self._rank + 1 if line == self._line else 1
        self._line, self._counted = line, position
        return f"{line}:{self._rank}" if self._rank > 1 else str(line)

    def find_end(self, position: int) -> int:
        """Return the end of the value that begins at a position."""
        return self._decode(position)[1]

    def parse(self, position: int) -> Any:
        """Return the value that begins at a position, for a look at its shape."""
        return self._decode(position)[0]

    def iterate(self, start: int) -> Iterator[Member]:
        """Yield the members of the array or object that begins at `start`."""
        is_object, is_first, position, number = self.text[start] == "{", True, start + 1, 0
        closing = "}" if is_object else "]"
        while True:
            begin = position
            position = _skip(_BLANKS_OR_COMMAS, self.text, position)
            is_end = self.text[position : position + 1] == closing
            expected_commas = 0 if is_first or is_end else 1
            if position < len(self.text) and (
                self.text.count(",", begin, position) != expected_commas
            ):
                raise self._make_error(position, "one comma belongs between rows")
            if is_end:
                self.end = position + 1
                return
            is_first, name = False, str(number)
            if is_object:
                name, position = self._read_name(position)
            end = self.find_end(position)
            yield Member(name, position, end)
            position, number = end, number + 1

    def _read_name(self, position: int) -> tuple[str, int]:
        """Return the name of a member and the position of its value."""
        if self.text[position : position + 1] != '"':
            raise self._make_error(position, "a name in quotes belongs before each value")
        name, position = self._decode(position)
        position = self.skip_blanks(position)
        if self.text[position : position + 1] != ":":
            raise self._make_error(position, "a colon belongs after a name")
        return name, self.skip_blanks(position + 1)

    def _decode(self, position: int) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self.text, position)
        except json.JSONDecodeError as error:
            raise self._make_error(error.pos, error.msg) from None
        except (ValueError, RecursionError) as error:
            raise self._make_error(position, str(error)) from None

    def _make_error(self, position: int, reason: str) -> UserError:
        line = self.text.count("\n", 0, position) + self.first_line
        return UserError(f"{self.path}:{line}: not JSON: {reason}; repair it or use .jsonl")


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return the end of what a pattern matches at a position."""
    match = pattern.match(text, position)
    return match.end() if match else position
