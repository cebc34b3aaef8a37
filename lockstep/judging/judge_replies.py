"""Parse a judge's replies strictly: a reply in another form has no verdict."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError

REASON = "reason"
"""Key of the judge's reason, which a reply may have beside the dimensions."""
TIE = "tie"
"""Verdict that neither of two answers is better."""
SIDES = ("A", "B", TIE)
"""Possible verdicts on two answers: the first, the second or neither is better."""
SCALE = (1, 2, 3, 4, 5)
"""Possible scores of one answer; 5 is best."""

_FENCE = re.compile(r"```(?:json)?\n(.*)\n```", re.DOTALL)
"""A Markdown code fence around the whole reply."""

Verdict = TypeVar("Verdict", str, int)


def parse_verdicts(
    reply: str, dimensions: Sequence[str], allowed: Sequence[Verdict]
) -> dict[str, Verdict] | None:
    """Return the verdict by dimension from a reply that is a JSON object, or None.

    The object must have each dimension once with an allowed verdict, and may have a reason. A
    Markdown fence around the object is accepted. None means that the reply has another form.
    """
    text = reply.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        value: Any = strict_json.parse(fenced[1] if fenced else text)
    except InvalidRowError:
        return None
    if not isinstance(value, dict):
        return None
    value.pop(REASON, None)
    if value.keys() != {*dimensions}:
        return None
    verdict_type = type(allowed[0])  # Python equates true with 1 and 4.0 with 4
    if any(type(v) is not verdict_type or v not in allowed for v in value.values()):
        return None
    return {name: value[name] for name in dimensions}
