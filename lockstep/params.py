"""params.yaml, typed: every value is written there, none here."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
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
    """A section of params.yaml: no unknown key, no missing key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Part(Section):
    """Some keys of a section that several stages read; the others are no matter to this one."""

    model_config = ConfigDict(extra="ignore")


S = TypeVar("S", bound=Section)


def parse(file: Path = FILE) -> dict[str, Any]:
    """Read the file as YAML 1.2, where `2e-4` is a number and `no` is a string."""
    try:
        values = YAML(typ="safe", pure=True).load(file.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: not found; run from the root of the repository") from None
    except IsADirectoryError:
        raise UserError(f"{file}: a folder; put the file back (git checkout)") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}" if mark else ""
        problem = " ".join((error.problem or str(error)).split())
        raise UserError(f"{file}{where}: not YAML: {problem}") from None
    except (YAMLError, ValueError) as error:  # ValueError: a date or tagged number that is none
        raise UserError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: must be a mapping of sections")
    return values


def read(cls: type[S], file: Path = FILE) -> S:
    """The sections that `cls` names, out of the whole file; raises UserError with every mistake."""
    values = parse(file)
    own = {name: value for name, value in values.items() if name in cls.model_fields}
    try:
        return cls.model_validate(own)
    except ValidationError as error:
        raise UserError("\n".join(mistakes(error, cls, own, file))) from None


def section(*classes: Any) -> Any:
    """All of a section of which several stages read parts."""
    different = list(dict.fromkeys(classes))
    if len(different) == 1:
        return different[0]
    return create_model("Whole", __base__=(*different, Section))


def mistakes(error: ValidationError, cls: type[Section], values: Any, file: Path) -> list[str]:
    """One line for each mistake: its path, what is wrong, the value, the nearest known key."""
    return [f"{file}: {_sentence(item, cls, values)}" for item in error.errors()]


def _sentence(item: Any, cls: type[Section], values: Any) -> str:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"{path}: missing; add it (params.yaml shows every value)"
    if item["type"] == "extra_forbidden":
        return f"{path}: unknown key{_nearest(item['loc'], cls)}"
    message = item["msg"].removeprefix("Value error, ")
    value = "" if isinstance(item["input"], dict | list) else f", not {item['input']!r}"
    return f"{path}: {message[:1].lower()}{message[1:]}{value}"


def _nearest(path: tuple[str | int, ...], cls: type[Section]) -> str:
    known = sorted(_fields_at(path[:-1], cls))
    match = difflib.get_close_matches(str(path[-1]), known, n=1)
    if match:
        return f"; did you mean {match[0]}?"
    return f"; known here: {', '.join(known)}" if known else "; remove it"


def _fields_at(path: tuple[str | int, ...], cls: type[Section]) -> set[str]:
    """The keys known at a path: walks models, lists and unions of models."""
    models: list[Any] = [cls]
    for part in path:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if not fields and not isinstance(part, int):
            continue  # a union's tag, which pydantic puts in the path
        if fields:
            models = [model for field in fields for model in _models_in(field.annotation)]
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    inner = getattr(annotation, "__args__", ())
    return [model for part in inner for model in _models_in(part)]
