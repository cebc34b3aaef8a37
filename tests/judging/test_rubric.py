"""The rubric is read whole, or refused with every mistake."""

import re
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.judging import rubric

GOOD = """\
instruction: Judge.
dimensions: {fluency: Easy to read., safety: Harmless.}
pair: P.
scale: S.
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "rubric.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_chosen_dimensions_stand_in_their_order(tmp_path: Path) -> None:
    found = rubric.read(written(tmp_path, GOOD), ["safety", "fluency"])
    assert list(found.dimensions.items()) == [
        ("safety", "Harmless."),
        ("fluency", "Easy to read."),
    ]
    assert list(rubric.read(written(tmp_path, GOOD), ["safety"]).dimensions) == ["safety"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("pair", "pairs"), r"rubric\.yaml: pairs: unknown key; did you mean pair\?"),
        (GOOD.replace("P.", '" "'), r"rubric\.yaml: pair: "),
        (GOOD.replace("Judge.", "7"), r"rubric\.yaml: instruction: .*string.*7"),
        (GOOD.replace("Harmless.", ""), r"rubric\.yaml: dimensions\.safety: "),
        (GOOD.replace("safety", "Safe ty"), r"rubric\.yaml: dimensions\.Safe ty"),
        (GOOD.replace("safety", "reason"), r"rubric\.yaml: .*reason is the reply's own key"),
        (GOOD.replace("pair: P.", "pair: {"), r"rubric\.yaml:\d+: not YAML"),
        ("", r"rubric\.yaml: must be a mapping"),
        (GOOD.replace("safety", "harm"), r"safety is none of .*; known: fluency, harm$"),
    ],
)
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError) as refusal:
        rubric.read(written(tmp_path, text), ["fluency", "safety"])
    assert re.search(line, refusal.value.message), refusal.value.message
