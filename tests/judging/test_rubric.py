"""A rubric is read completely or refused with every mistake."""

import re
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.judging.rubric import read_rubric

RUBRIC = """\
instruction: Judge.
dimensions: {fluency: Easy to read., safety: Harmless.}
pair: P.
scale: S.
"""


def write_rubric(folder: Path, text: str) -> Path:
    file = folder / "rubric.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_named_dimensions_are_in_the_given_order(tmp_path: Path) -> None:
    rubric = read_rubric(write_rubric(tmp_path, RUBRIC), ["safety", "fluency"])
    assert list(rubric.dimensions.items()) == [
        ("safety", "Harmless."),
        ("fluency", "Easy to read."),
    ]
    assert list(read_rubric(write_rubric(tmp_path, RUBRIC), ["safety"]).dimensions) == ["safety"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (RUBRIC.replace("pair", "pairs"), r"rubric\.yaml: pairs: unknown key; did you mean pair\?"),
        (RUBRIC.replace("P.", '" "'), r"rubric\.yaml: pair: "),
        (RUBRIC.replace("Judge.", "7"), r"rubric\.yaml: instruction: .*string.*7"),
        (RUBRIC.replace("Harmless.", ""), r"rubric\.yaml: dimensions\.safety: "),
        (RUBRIC.replace("safety", "Safe ty"), r"rubric\.yaml: dimensions\.Safe ty"),
        (
            RUBRIC.replace("safety", "reason"),
            r"rubric\.yaml: .*reason is a reserved key of the reply",
        ),
        (RUBRIC.replace("pair: P.", "pair: {"), r"rubric\.yaml:\d+: not YAML"),
        ("", r"rubric\.yaml: must be a mapping"),
        (RUBRIC.replace("safety", "harm"), r"safety is not in .*; known: fluency, harm$"),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        read_rubric(write_rubric(tmp_path, text), ["fluency", "safety"])
    assert re.search(line, error.value.message), error.value.message
