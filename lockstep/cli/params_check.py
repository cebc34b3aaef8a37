"""Check all of params.yaml before a stage does work, and report every mistake at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from lockstep import params
from lockstep.cli import moved_keys
from lockstep.cli.checks import all_checks
from lockstep.cli.sections import Parameters
from lockstep.errors import UserError


def check_parameters(file: Path = params.FILE) -> None:
    """Raise UserError with a line for each mistake: moved keys, wrong values, contradictions.

    A mistake in one section does not hide the mistakes in others.
    """
    _raise_if_any(find_mistakes(params.parse(file)), file)


def check_libraries(file: Path = params.FILE) -> None:
    """Raise UserError with a line for each value that a library refuses; this imports torch."""
    _raise_if_any(find_library_mistakes(params.parse(file)), file)


def find_mistakes(values: dict[str, Any]) -> list[str]:
    """Return a line for each mistake in the values of params.yaml; remove their moved keys."""
    moved = moved_keys.remove_moved_keys(values)
    sections, mistakes = validate_sections(values)
    return [*moved, *mistakes, *all_checks.find_mistakes(sections)]


def find_library_mistakes(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each value that a library refuses; this imports torch."""
    sections, _ = validate_sections(values)
    return [*all_checks.find_mistakes(sections, slow=True)]


def validate_sections(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the valid sections by name, and a line for each mistake in the others."""
    try:
        return dict(Parameters.model_validate(values)), []
    except ValidationError as error:
        invalid = {item["loc"][0] for item in error.errors()}
        valid: dict[str, Any] = {
            name: (field.rebuild_annotation(), field)
            for name, field in Parameters.model_fields.items()
            if name not in invalid
        }
        schema = create_model("ValidSections", __base__=params.Part, **valid)
        return dict(schema.model_validate(values)), params.describe_errors(error, Parameters)


def _raise_if_any(mistakes: list[str], file: Path) -> None:
    if mistakes:
        raise UserError("\n".join(f"{file}: {line}" for line in mistakes))
