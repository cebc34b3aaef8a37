"""The settings of training that took effect, as a reader writes them."""

from collections.abc import Iterator
from typing import Any

from lockstep.training.train_params import HEADS


def settings(train: dict[str, Any], strategies: dict[str, Any]) -> list[tuple[str, str]]:
    """(dotted name, value) of each, by name; none of another objective or strategy."""
    own = {name: value for name, value in train.items() if name not in ("sft", "grpo")}
    objective = {train["objective"]: train.get(train["objective"], {})}
    strategy = {train["strategy"]: strategies.get(train["strategy"], {})}
    return sorted([*_flat(own), *_flat(objective), *_flat(strategy)])


def loader(objective: str) -> str:
    """The class of transformers that loads the model."""
    kind = "SequenceClassification" if objective in HEADS else "CausalLM"
    return f"AutoModelFor{kind}"


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        elif value not in ([], None):
            yield f"{above}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return " ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return str(value)
