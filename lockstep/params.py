"""Read params.yaml into typed sections.

A schema is a pydantic class derived from `Section`. params.yaml must set each field without a
default and may leave out the others. The string below a field is its
documentation, which `make params` prints.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lockstep.errors import UserError

FILE = Path("params.yaml")

Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
NaturalInt = Annotated[int, Field(ge=0)]
Precision = Literal["bf16", "fp32"]
MixedPrecision = Literal["bf16", "fp16", "fp32"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """Base class of all params: rejects unknown keys and converts no types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Part(Section):
    """Base class of params that read some keys of a section and ignore the others."""

    model_config = ConfigDict(extra="ignore")


S = TypeVar("S", bound=Section)


def parse(file: Path = FILE) -> dict[str, Any]:
    """Read a YAML 1.2 file, in which `2e-4` is a number and `no` is a string.

    Raise UserError if the file is missing, is not YAML or is not a mapping.
    """
    try:
        values = YAML(typ="safe", pure=True).load(file.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: not found; run from the root of the repository") from None
    except IsADirectoryError:
        raise UserError(f"{file}: is a folder; restore the file (git checkout)") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join((error.problem or str(error)).split())
        raise UserError(f"{file}{line}: not YAML: {problem}") from None
    except (YAMLError, ValueError) as error:  # ValueError: a malformed date or tagged number
        raise UserError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: must be a mapping of sections")
    return values


def read(schema: type[S], file: Path = FILE) -> S:
    """Read the sections that `schema` names; raise UserError with one line per mistake."""
    values = {name: value for name, value in parse(file).items() if name in schema.model_fields}
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = describe_errors(error, schema)
        raise UserError("\n".join(f"{file}: {line}" for line in lines)) from None


def describe_errors(error: ValidationError, schema: type[Section]) -> list[str]:
    """Return a line for each mistake: its path, what is wrong, the value, the nearest key."""
    return [_describe(item, schema) for item in error.errors()]


def _describe(item: Any, schema: type[Section]) -> str:
    path = ".".join(str(part) for part in _drop_tags(item["loc"], schema))
    if item["type"] == "missing":
        return f"{path}: missing; add it"
    if item["type"] == "extra_forbidden":
        return f"{path}: unknown key{_suggest_key(item['loc'], schema)}"
    message = item["msg"].removeprefix("Value error, ")
    value = item["input"]
    suffix = "" if isinstance(value, dict | list) else f", not {value!r}"
    if item["type"] in ("int_type", "float_type") and _spells_number(value):
        suffix += "; remove the quotes"
    return f"{path}: {message[:1].lower()}{message[1:]}{suffix}"


def _spells_number(value: Any) -> bool:
    """Whether a value is a string that spells a number, e.g. "2e-4"."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)


def _drop_tags(path: tuple[str | int, ...], schema: type[Section]) -> Iterator[str | int]:
    """Yield the parts of pydantic's path that stand in the file: not the tags of unions."""
    for place, part in enumerate(path):
        keys = _find_keys_at(path[:place], schema)
        if part in keys or not keys or isinstance(part, int) or place == len(path) - 1:
            yield part


def _suggest_key(path: tuple[str | int, ...], schema: type[Section]) -> str:
    known = sorted(_find_keys_at(path[:-1], schema))
    matches = difflib.get_close_matches(str(path[-1]), known, n=1)
    if matches:
        return f"; did you mean {matches[0]}?"
    return f"; known keys: {', '.join(known)}" if known else "; remove it"


def _find_keys_at(path: tuple[str | int, ...], schema: type[Section]) -> set[str]:
    """Return the keys that are valid at a path, through nested sections, lists and unions."""
    schemas: list[type[Section]] = [schema]
    for part in path:
        fields = [cls.model_fields[part] for cls in schemas if part in cls.model_fields]
        if fields:
            schemas = [cls for field in fields for cls in find_sections(field.annotation)]
        # any other part is the index of a list or the tag of a union
    return {name for cls in schemas for name in cls.model_fields}


def find_sections(annotation: Any) -> list[type[Section]]:
    """Return the Section classes that a type annotation contains."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [cls for part in getattr(annotation, "__args__", ()) for cls in find_sections(part)]
