"""Predictions: what a variant answered to each record, enough to compute every metric."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lockstep.errors import UserError

Variant = Literal["base", "merged", "quantized"]
"""A variant of the model that is evaluated."""
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""Variants of the model that are evaluated, in the order of the pipeline."""
STEPS = {"tuning": ("base", "merged"), "quantization": ("merged", "quantized")}
"""Step of the pipeline that changes the model -> (variant before, variant after)."""

COMMON_SLICES = ("source", "length")
"""Slices of every record: the file it comes from, and the range of its prompt's length in
tokens."""
SPLIT = "split"
"""Slice that names the split of a train or validation record; test records do not have it."""
ZERO_SHOT = "zero_shot"
"""Slice of a record with examples in its prompt: id of the same record without them."""
PARENT, PERTURBATION = "parent", "perturbation"
"""Slices of a perturbed record: id of the original record, and kind of perturbation."""
LINKING_SLICES = (PARENT, PERTURBATION, SPLIT, ZERO_SHOT)
"""Slices that link predictions to each other; metrics are not broken down by them, and no source
may have a slice of such a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A record and the answer of one variant."""

    id: str
    """Content hash of the record."""
    task: str
    """Task of the record."""
    slices: dict[str, str]
    """Slice -> value of the record."""
    question: str
    """Text of the last user turn."""
    prompt: str
    """16 hex digits of a sha256 over the token ids that the model read."""
    reference: str
    """Expected answer, or how to judge an answer (refusal, rules)."""
    answer_form: str = ""
    """Form of the answer (lockstep.suites.AnswerForm); "" if no suite has the task."""
    prediction: str = ""
    """Answer of the model, without the reasoning in front of it."""
    reasoning: str = ""
    """Text that the model wrote before its answer, by the marks of its chat template."""
    reasoning_tokens: int = 0
    """Number of tokens of the reasoning."""
    truncated: bool = False
    """Whether the answer was cut off by predict.max_new_tokens."""
    option_scores: dict[str, float] = field(default_factory=dict)
    """Answer that the model could choose -> its score: log-likelihood in nats, logit or reward."""
    loss: float | None = None
    """Negative log-likelihood of the reference in nats; None for a model with a head and for a
    reference that is not an answer."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the record offers to the model, with their JSON Schemas."""
    tokens: int = 0
    """Number of reference tokens that `loss` covers, including the end of the turn."""


def write(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as JSON lines with sorted keys."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for prediction in predictions:
            stream.write(json.dumps(asdict(prediction), ensure_ascii=False, sort_keys=True) + "\n")


def read(path: Path) -> list[Prediction]:
    """Read predictions; raise UserError if the file is missing or damaged."""
    try:
        with path.open(encoding="utf-8") as stream:
            return parse(stream)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro`") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; run `dvc repro`") from None


def parse(lines: Iterable[str]) -> list[Prediction]:
    """Parse JSON lines; raise ValueError, with the line number, if one is not a prediction."""
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(Prediction)
    result = []
    for number, line in enumerate(lines, start=1):
        try:
            result.append(adapter.validate_json(line, strict=True, extra="forbid"))
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise ValueError(f"line {number}: not a prediction: {where}{first['msg']}") from None
    return result
