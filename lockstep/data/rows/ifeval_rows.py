"""Rows of IFEval (Zhou et al., 2023): a prompt, and the rules that an answer must follow."""

from typing import Any

import orjson

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.rows.conversation import Conversation, make_pair
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source


def parse_ifeval(row: Row, source: Source) -> Conversation:
    """Read `prompt`, and the rules in `instruction_id_list` and `kwargs`, which fit each other.

    The answer is the JSON list of the rules. An empty argument is one that a rule does not have.
    """
    names, arguments = (_read_list(row, source, name) for name in ("instruction_id_list", "kwargs"))
    if not names or len(names) != len(arguments):
        raise InvalidRowError(
            "rules_and_kwargs_differ",
            detail=f"{len(names)} instructions, keyword arguments of {len(arguments)}",
        )
    rules = [
        {"rule": row_fields.check_text(name, "instruction_id_list"), **_read_arguments(kwargs)}
        for name, kwargs in zip(names, arguments, strict=True)
    ]
    prompt = row_fields.get_text_field(row, source, "prompt")
    return make_pair(prompt, orjson.dumps(rules).decode())


def _read_list(row: Row, source: Source, name: str) -> list[Any]:
    value = row_fields.get_required_field(row, source, name)
    if isinstance(value, str):  # a cell of a table
        value = row_fields.parse_json(value, name)
    if not isinstance(value, list):
        raise InvalidRowError(f"{name}_not_a_list", detail=f"{name} holds {show_value(value)}")
    return value


def _read_arguments(kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a rule without empty ones; tables store whole numbers as floats."""
    if isinstance(kwargs, str):
        kwargs = row_fields.parse_json(kwargs, "kwargs")
    if kwargs is None:
        return {}
    if not isinstance(kwargs, dict):
        raise InvalidRowError("kwargs_not_an_object", detail=f"kwargs holds {show_value(kwargs)}")
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in kwargs.items()
        if value not in (None, "", [])
    }
