"""predictions.jsonl: what a variant answered to each test record, enough for every figure."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lockstep.errors import UserError

SLICES = ("source", "length")
"""What every record is sliced by: its file, and the tokens of its prompt."""
SPLIT = "split"
"""Slice of a record of train or validation; test records have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A record, of the test set if nothing else is said, and the answer of one variant."""

    id: str
    task: str
    slices: dict[str, str]
    question: str
    prompt: str
    """16 hex digits of a sha256 over the token ids that the model read."""
    reference: str
    answer_form: str = ""
    """How the answer was obtained: the suite's answer form; empty where no suite has the task."""
    prediction: str = ""
    truncated: bool = False
    """Whether evaluate.max_new_tokens ended the answer, and not the model."""
    score: float | None = None
    """How right the answer is, 0 to 1; None where no suite has the record's task."""
    option_scores: dict[str, float] = field(default_factory=dict)
    """What the model makes of each answer that it could choose: log-likelihoods in nats, logits,
    or rewards."""
    scores: dict[str, float] = field(default_factory=dict)
    """What the answer adds to each figure that is a mean over records."""
    loss: float | None = None
    """Negative log-likelihood of the expected answer, in nats; None of a model that writes none,
    and where the expected answer only says how to judge."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the model could call."""
    tokens: int = 0
    """Of the expected answer with its end of turn, as far as they were scored."""


def write(path: Path, predictions: Iterable[Prediction]) -> None:
    """One JSON line each, keys sorted."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for prediction in predictions:
            stream.write(json.dumps(asdict(prediction), ensure_ascii=False, sort_keys=True) + "\n")


def read(path: Path) -> list[Prediction]:
    """What `write` wrote; UserError where it is missing, damaged or another's."""
    try:
        with path.open(encoding="utf-8") as stream:
            return parse(stream)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro` makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; `dvc repro` makes it") from None


def parse(lines: Iterable[str]) -> list[Prediction]:
    """The predictions of such a file; ValueError, with the line, where one is damaged."""
    from pydantic import TypeAdapter, ValidationError

    of_line = TypeAdapter(Prediction)
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(of_line.validate_json(line, strict=True, extra="forbid"))
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise ValueError(f"line {number}: no prediction: {where}{first['msg']}") from None
    return found
