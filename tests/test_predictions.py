"""Predictions: the file holds all of them, and a damaged one is refused with its line."""

from pathlib import Path

import pytest

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import Prediction

PREDICTION = Prediction(
    id="a", task="t", slices={"language": "zh"}, question="在哪里？", prompt="0123456789abcdef",
    reference="路上", prediction="在路上", answer_form="text", truncated=True,
    option_scores={"路上": -1.5}, loss=2.5, tokens=3, tools=[{"type": "function"}],
)  # fmt: skip
BARE = Prediction(id="b", task="t", slices={}, question="", prompt="", reference="")


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    predictions.write(file, [PREDICTION, BARE])
    assert predictions.read(file) == [PREDICTION, BARE]
    lines = file.read_text("utf-8").splitlines()
    assert all(line.startswith('{"answer_form": "') for line in lines), "keys are sorted"
    assert "在哪里？" in lines[0], "text stays readable"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not a prediction: Invalid JSON"),
        ('{"id": "a"}', "line 2: not a prediction: task: "),
        ('{"id": 3}', "line 2: not a prediction: id: Input should be a valid string"),
    ],
)
def test_a_damaged_line_is_refused_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "predictions.jsonl"
    predictions.write(file, [PREDICTION])
    with file.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(UserError, match=rf"predictions\.jsonl: {message}.*; run `dvc repro`"):
        predictions.read(file)


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    predictions.write(file, [BARE])
    file.write_text(file.read_text().replace('"id"', '"score": 1.0, "id"'))
    with pytest.raises(UserError, match="line 1: not a prediction: score: Unexpected keyword"):
        predictions.read(file)
    with pytest.raises(UserError, match="not found; run `dvc repro`"):
        predictions.read(tmp_path / "none.jsonl")
