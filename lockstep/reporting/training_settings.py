"""The settings of training that took effect, as a reader sees them."""

from collections.abc import Iterator
from typing import Any

from lockstep.suites import FORMS_BY_OBJECTIVE


def list_settings(train: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (dotted name, value) of each setting of the section `train`, sorted by name.

    Settings of other objectives are left out.
    """
    blocks = {"sft", "grpo"} - {train["objective"]}
    return sorted(_flatten({name: value for name, value in train.items() if name not in blocks}))


def get_loader_name(objective: str) -> str:
    """Return the class of transformers that loads the model."""
    kind = "SequenceClassification" if objective in FORMS_BY_OBJECTIVE else "CausalLM"
    return f"AutoModelFor{kind}"


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        elif value not in ([], None):
            yield f"{prefix}{name}", _format_value(value)


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_format_value, value))
    if isinstance(value, dict):
        return " ".join(f"{name} {_format_value(inner)}" for name, inner in value.items())
    return str(value)
