"""The answers of three variants to twelve customer questions, for the tests of this folder."""

from pathlib import Path
from typing import Any

from lockstep import predictions
from lockstep.human.human_params import HumanParams
from lockstep.human.rating_items import make_code
from lockstep.predictions import Prediction
from tests.conftest import write_params

DIMENSIONS = {"fluency": "Does it read well?", "safety": "Is it free of harm?"}


def make_params(**changes: Any) -> HumanParams:
    """Return params with two dimensions, all twelve records and two raters."""
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


def write_human_params(folder: Path, **changes: Any) -> None:
    """Write a params.yaml with `make_params(**changes)` as section `human`."""
    write_params(folder, {"human": make_params(**changes).model_dump()})


def make_prediction(number: int, prediction: str, **changes: Any) -> Prediction:
    """Return the prediction of record r0, r1 …; every third record is in Chinese."""
    is_chinese = number % 3 == 2
    values = {
        "id": f"r{number}",
        "task": "reply",
        "slices": {"language": "zh" if is_chinese else "en"},
        "question": f"订单{number}在哪？" if is_chinese else f"Where is order {number}?",
        "prompt": "0" * 16,
        "reference": "On its way.",
        "prediction": prediction,
        "answer_form": "text",
    }
    return Prediction(**{**values, **changes})


def make_predictions() -> dict[str, list[Prediction]]:
    """Return the predictions by variant; quantized differs from merged in every fourth record."""
    other_tasks = [
        make_prediction(90, "track", task="intent", answer_form="choice"),
        make_prediction(91, "", task="dpo", answer_form=""),
    ]
    answers = {
        "base": [f"It left on day {n}." for n in range(12)],
        "merged": [f"It comes on day {n}." for n in range(12)],
        "quantized": [f"It {'stays' if n % 4 == 0 else 'comes'} on day {n}." for n in range(12)],
    }
    return {
        variant: [*[make_prediction(n, text) for n, text in enumerate(texts)], *other_tasks]
        for variant, texts in answers.items()
    }


def make_base_code(number: int) -> str:
    """Return the code of the base's answer to a record."""
    return make_code(f"r{number}", f"It left on day {number}.")


def make_merged_code(number: int) -> str:
    """Return the code of the merged model's answer to a record."""
    return make_code(f"r{number}", f"It comes on day {number}.")


def write_predictions(folder: Path) -> Path:
    """Write the predictions into the folder `predicted` and return its path."""
    for variant, rows in make_predictions().items():
        (folder / "predicted" / variant).mkdir(parents=True)
        predictions.write(folder / "predicted" / variant / "predictions.jsonl", rows)
    return folder / "predicted"
