"""A library's configuration class as the schema of a mapping in params.yaml."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from lockstep.errors import UserError


def build(
    cls: type,
    given: Mapping[str, Any],
    ours: Mapping[str, Any],
    where: str,
    owned: Mapping[str, str],
) -> Any:
    """`cls(**given, **ours)`, a dataclass of a library, with every mistake in `given` told at once.

    `where` is the path of `given` in params.yaml. `owned` maps options that are not the user's
    to the reason; so are those of `ours`. Raises UserError.
    """
    fields = {field.name for field in dataclasses.fields(cls) if field.init}
    hints = typing.get_type_hints(cls)
    mistakes = []
    for name, value in given.items():
        if name in owned or name in ours:
            mistakes.append(f"{name}: {owned.get(name, 'the pipeline sets it; leave it out')}")
        elif name not in fields:
            mistakes.append(f"{name}: no option of {cls.__name__}{_nearest(name, fields)}")
        elif problem := _unfit(hints[name], value):
            mistakes.append(f"{name}: {problem}, not {value!r}")
    if not mistakes:
        try:
            return cls(**given, **ours)
        except (ValueError, TypeError, NotImplementedError, ImportError) as error:
            raise UserError(f"params.yaml: {where}: {' '.join(str(error).split())}") from None
    raise UserError("\n".join(f"params.yaml: {where}.{mistake}" for mistake in mistakes))


def _nearest(name: str, known: set[str]) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {match[0]}?" if match else ""


def _unfit(hint: Any, value: Any) -> str | None:
    """What is wrong with a value for a field of this type, in one line."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except PydanticUserError:  # a dataclass among the types: it has a configuration of its own
        adapter = TypeAdapter(hint)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        wanted = sorted({item["msg"].removeprefix("Input ") for item in error.errors()})
        return " or ".join(wanted).lower()
    return None
