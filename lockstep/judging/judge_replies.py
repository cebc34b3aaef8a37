"""What a judge replied, read strictly: a verdict is never guessed."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError

REASON = "reason"
"""The one key of a reply beside the dimensions."""

SIDES = ("A", "B", "tie")
SCALE = (1, 2, 3, 4, 5)

_FENCE = re.compile(r"```(?:json)?\n(.*)\n```", re.DOTALL)

V = TypeVar("V", str, int)


def read(reply: str, dimensions: Sequence[str], allowed: Sequence[V]) -> dict[str, V] | None:
    """{dimension: verdict} of a JSON object with each of them once, and perhaps a reason.

    None where it is anything else. A fence of Markdown around the whole is no fault.
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
    kind = type(allowed[0])  # true is no 1, and 4.0 no 4
    if any(type(verdict) is not kind or verdict not in allowed for verdict in value.values()):
        return None
    return {name: value[name] for name in dimensions}
