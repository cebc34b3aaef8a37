"""Sections that contradict each other are refused before the first stage works."""

from pathlib import Path

import pytest

from stages import cli
from stages.errors import Refusal

REAL = Path(__file__).parents[1] / "params.yaml"


@pytest.mark.parametrize(
    ("real", "changed", "line"),
    [
        (
            "{task: slots, answer: json,", "{task: slot, answer: json,",
            "evaluate.suites: no source has task slot; known: intent, reply, slots",
        ),
        (
            "{task: slots, answer: json, metrics: [exact_match, slot_f1, valid]}",
            "{task: slots, answer: choice, metrics: [accuracy]}",
            "evaluate.suites: task slots has no labels to choose from; set its answer to",
        ),
        (
            "by: [task, language,", "by: [tusk, language,",
            "prepare.split.by: tusk is no slice of the sources; known: answer, difficulty, lang",
        ),
        (
            "slices: [phrasing, language]  # each", "slices: [phrasing, fraseing]  # each",
            "evaluate.slices: fraseing is no slice of the sources; known: difficulty, language, ph",
        ),
        (
            "slices: [phrasing]  ", "slices: [difficulty]  ",
            "report.slices: difficulty is no slice of evaluate.slices; known: language, phrasing",
        ),
        (
            "tasks: []               # only", "tasks: [intend]         # only",
            "augment.methods: no source has task intend; known: intent, reply, slots",
        ),
        (
            "slices: {}              # only", "slices: {lang: [zh]}    # only",
            "augment.methods: slices: lang is no slice of the sources; known: difficulty, language",
        ),
        (
            "  mix: []  ", "  mix: [{slice: lang, shares: {zh: 0.5, en: 0.5}}]  ",
            "augment.mix: lang is no slice of the sources; known: difficulty, language, phrasing",
        ),
        (
            "  tasks: []                   # only", "  tasks: [intend]             # only",
            "train.tasks: no source has task intend; known: intent, reply, slots",
        ),
        (
            "task_weights: {} ", "task_weights: {intend: 2.0} ",
            "train.sft.task_weights: no source has task intend; known: intent, reply, slots",
        ),
    ],
)  # fmt: skip
def test_a_name_that_another_section_lacks_is_refused(
    tmp_path: Path, real: str, changed: str, line: str
) -> None:
    text = REAL.read_text(encoding="utf-8")
    assert real in text
    file = tmp_path / "params.yaml"
    file.write_text(text.replace(real, changed), encoding="utf-8")
    with pytest.raises(Refusal) as refusal:
        cli.check_parameters(file)
    assert refusal.value.message.startswith(f"{file}: {line}")
    assert "\n" not in refusal.value.message


def test_all_of_them_are_named_at_once(tmp_path: Path) -> None:
    text = REAL.read_text(encoding="utf-8").replace("task: slots\n", "task: forms\n")
    file = tmp_path / "params.yaml"
    file.write_text(text.replace("by: [task, language,", "by: [task, tongue,"), encoding="utf-8")
    with pytest.raises(Refusal) as refusal:
        cli.check_parameters(file)
    assert len(refusal.value.message.splitlines()) == 2


def test_an_objective_and_the_suites_must_fit(tmp_path: Path):
    text = REAL.read_text(encoding="utf-8")
    changed = text.replace("objective: sft   ", "objective: regression").replace(
        "{task: intent, answer: choice, metrics: [accuracy, macro_f1, roc_auc, calibration_error]}",
        "{task: intent, answer: number, metrics: [r2]}",
    )
    (tmp_path / "params.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(Refusal) as refusal:
        cli.check_parameters(tmp_path / "params.yaml")
    assert [line.partition("suites: ")[2] for line in str(refusal.value).splitlines()] == [
        "task slots: a model tuned for regression gives no json; set its answer to number",
        "task reply: a model tuned for regression gives no text; set its answer to number",
    ]
