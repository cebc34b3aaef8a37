"""Sections that contradict each other are refused before the first stage works."""

import re
from pathlib import Path

import pytest

from lockstep.cli import runner
from lockstep.errors import UserError

REAL = re.sub(  # gates hang on the suites that the cases change
    r"(?ms)^  gates:.*?(?=^\w)",
    "  gates: []\n\n",
    (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8"),
)
REAL = re.sub(  # of the suites, the one with a schema in one line as well
    r"(?ms)^    - task: slots\n      answer.*?(?=^    - )",
    "    - {task: slots, answer: json, metrics: [exact_match, slot_f1, valid]}\n",
    REAL,
)
GATE = "{variant: merged, against: nothing, direction: at_least, threshold: 0, certainty: figure,"


@pytest.mark.parametrize(
    ("real", "changed", "line"),
    [
        (
            "{task: slots, answer: json,", "{task: slot, answer: json,",
            "evaluate.suites: no source has task slot; known: behaviour, ",
        ),
        (
            "{task: slots, answer: json, metrics: [exact_match, slot_f1, valid]}",
            "{task: slots, answer: choice, metrics: [accuracy]}",
            "evaluate.suites: task slots has no labels to choose from; set its answer to",
        ),
        (
            "{task: slots, answer: json, metrics: [exact_match, slot_f1, valid]}",
            "{task: slots, answer: rules, metrics: [all_followed]}",
            "prepare.sources: slots.jsonl: the answers of task slots say how it is judged (rul",
        ),
        (
            "by: [task, language,", "by: [tusk, language,",
            "prepare.split.by: tusk is no slice of the sources; known: answer, behaviour, ",
        ),
        (
            "difficulty, behaviour, source,", "fraseing, behaviour, source,",
            "evaluate.slices: fraseing is no slice of the sources; known: behaviour, ",
        ),
        (
            "slices: [phrasing]  ", "slices: [domain]  ",
            "report.slices: domain is no slice of evaluate.slices; known: behaviour, ",
        ),
        (
            "tasks: []               # only", "tasks: [intend]         # only",
            "augment.methods: no source has task intend; known: behaviour, ",
        ),
        (
            "slices: {}              # only", "slices: {lang: [zh]}    # only",
            "augment.methods: slices: lang is no slice of the sources; known: behaviour, ",
        ),
        (
            "  mix: []  ", "  mix: [{slice: lang, shares: {zh: 0.5, en: 0.5}}]  ",
            "augment.mix: lang is no slice of the sources; known: behaviour, ",
        ),
        (
            "  tasks: []                   # only", "  tasks: [intend]             # only",
            "train.tasks: no source has task intend; known: behaviour, ",
        ),
        (
            "task_weights: {} ", "task_weights: {intend: 2.0} ",
            "train.sft.task_weights: no source has task intend; known: behaviour, ",
        ),
        (
            "tasks: [intent]           # of", "tasks: [intend]           # of",
            "evaluate.stability: no suite intend; known: behaviour, ",
        ),
        (
            "gates: []", f"gates: [{GATE} suite: intend, metric: accuracy}}]",
            "evaluate.gates: no suite intend; known: behaviour, ",
        ),
        (
            "gates: []", f"gates: [{GATE} suite: slots, metric: bleu}}]",
            "evaluate.gates: slots does not measure bleu; known: exact_match, slot_f1, valid",
        ),
    ],
)  # fmt: skip
def test_a_name_that_another_section_lacks_is_refused(
    tmp_path: Path, real: str, changed: str, line: str
) -> None:
    assert real in REAL
    file = tmp_path / "params.yaml"
    file.write_text(REAL.replace(real, changed), encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        runner.check_parameters(file)
    assert refusal.value.message.startswith(f"{file}: {line}")
    assert "\n" not in refusal.value.message


def test_all_of_them_are_named_at_once(tmp_path: Path) -> None:
    text = REAL.replace("task: slots\n", "task: forms\n")
    file = tmp_path / "params.yaml"
    file.write_text(text.replace("by: [task, language,", "by: [task, tongue,"), encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        runner.check_parameters(file)
    assert len(refusal.value.message.splitlines()) == 2


def test_an_objective_and_the_suites_must_fit(tmp_path: Path):
    text = REAL
    changed = text.replace("objective: sft   ", "objective: regression").replace(
        "{task: intent, answer: choice, metrics: [accuracy, macro_f1, roc_auc, calibration_error]}",
        "{task: intent, answer: number, metrics: [r2]}",
    )
    (tmp_path / "params.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        runner.check_parameters(tmp_path / "params.yaml")
    assert [line.partition("suites: ")[2] for line in str(refusal.value).splitlines()] == [
        "task slots: a model tuned for regression gives no json; set its answer to number",
        "task reply: a model tuned for regression gives no text; set its answer to number",
        "task behaviour: a model tuned for regression gives no rules; set its answer to number",
        "task refusal: a model tuned for regression gives no refusal; set its answer to number",
    ]
