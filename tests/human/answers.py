"""Three variants' answers to twelve questions of a customer, for the tests of this folder."""

from pathlib import Path
from typing import Any

from lockstep import predictions
from lockstep.human.rating_items import HumanParams, code
from lockstep.predictions import Prediction
from tests.conftest import tiny_params

DIMENSIONS = {"fluency": "Does it read well?", "safety": "Is it free of harm?"}


def settings(**changes: Any) -> HumanParams:
    """Two dimensions, all twelve records, two raters; and what is given."""
    values = {
        "suites": ["reply"],
        "variants": ["base", "merged"],
        "records": 12,
        "strata": ["language"],
        "dimensions": DIMENSIONS,
        "raters": 2,
        "seed": 7,
    }
    return HumanParams.model_validate({**values, **changes})


def params(folder: Path, **changes: Any) -> None:
    """params.yaml with section `human` as `settings` has it."""
    from ruamel.yaml import YAML

    values = tiny_params({}) | {"human": settings(**changes).model_dump()}
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)


def prediction(number: int, prediction: str, **changes: Any) -> Prediction:
    """Record r0, r1 …; every third one is in Chinese."""
    chinese = number % 3 == 2
    values = {
        "id": f"r{number}",
        "task": "reply",
        "slices": {"language": "zh" if chinese else "en"},
        "question": f"订单{number}在哪？" if chinese else f"Where is order {number}?",
        "prompt": "0" * 16,
        "reference": "On its way.",
        "prediction": prediction,
        "score": 0.5,
    }
    return Prediction(**{**values, **changes})


def answered() -> dict[str, list[Prediction]]:
    """The quantized model answers like the merged one, but every fourth time."""
    other = [prediction(90, "track", task="intent"), prediction(91, "", task="dpo", score=None)]
    numbers = range(12)
    return {
        "base": [*[prediction(n, f"It left on day {n}.") for n in numbers], *other],
        "merged": [*[prediction(n, f"It comes on day {n}.") for n in numbers], *other],
        "quantized": [
            *[
                prediction(n, f"It {'stays' if n % 4 == 0 else 'comes'} on day {n}.")
                for n in numbers
            ],
            *other,
        ],
    }


def old(number: int) -> str:
    """Code of the base's answer."""
    return code(f"r{number}", f"It left on day {number}.")


def new(number: int) -> str:
    """Code of the merged model's answer."""
    return code(f"r{number}", f"It comes on day {number}.")


def evaluated(folder: Path) -> Path:
    """data/evaluated with these predictions."""
    for variant, rows in answered().items():
        (folder / "evaluated" / variant).mkdir(parents=True)
        predictions.write(folder / "evaluated" / variant / "predictions.jsonl", rows)
    return folder / "evaluated"
