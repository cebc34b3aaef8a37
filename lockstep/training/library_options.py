"""Options in params.yaml that a library's configuration class checks."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from lockstep.errors import UserError


def build_config(
    cls: type,
    options: Mapping[str, Any],
    fixed: Mapping[str, Any],
    reserved: Mapping[str, str],
    where: str,
    owner: str = "",
) -> Any:
    """Return `cls(**options, **fixed)` for a dataclass of a library.

    `options` come from the user, at the path `where` of params.yaml. `fixed` come from the
    pipeline. `reserved` maps further options that users cannot set to the reason. `owner` names
    the class in messages, e.g. the strategy; by default it is the name of the class. Raise
    UserError with all mistakes.
    """
    owner = owner or cls.__name__
    fields = {field.name for field in dataclasses.fields(cls) if field.init}
    types = typing.get_type_hints(cls)
    mistakes = []
    for name, value in options.items():
        if name in reserved or name in fixed:
            reason = reserved.get(name, "the pipeline sets it; leave it out")
            mistakes.append(f"{where}.{name}: {reason}")
        elif name not in fields:
            mistakes.append(f"{where}: {owner} has no option {name}; {_suggest(name, fields, cls)}")
        elif problem := _find_type_error(types[name], value):
            mistakes.append(f"{where}.{name}: {problem}, not {value!r}")
    if mistakes:
        raise UserError("\n".join(f"params.yaml: {mistake}" for mistake in mistakes))
    try:
        return cls(**options, **fixed)
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"params.yaml: {where}: {owner}: {reason}") from None


def _suggest(name: str, known: set[str], cls: type) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    if match:
        return f"did you mean {match[0]}?"
    library = cls.__module__.partition(".")[0]
    return f"see {cls.__name__} in the documentation of {library}"


def _find_type_error(annotation: Any, value: Any) -> str | None:
    """Return why a value does not suit a field's type, in one line; None if it does."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        adapter = TypeAdapter(
            annotation, config=ConfigDict(arbitrary_types_allowed=True, strict=True)
        )
    except PydanticUserError:  # a type with a configuration of its own, e.g. a dataclass
        adapter = TypeAdapter(annotation)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        messages = sorted({item["msg"].removeprefix("Input ") for item in error.errors()})
        return " or ".join(messages).lower()
    return None
