"""A params.yaml for other data names no task and no slice of the data before it."""

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from lockstep.cli.checks import all_checks
from lockstep.cli.params_check import validate_sections
from lockstep.init.edit_params import edit_params
from tests.conftest import REPOSITORY

USED: dict[str, Any] = {
    "prepare": {"source_defaults": {"licence": "CC0"}, "split": {"by": ["task", "phrasing"]}},
    "augment": {
        "methods": [
            {"method": "swap", "share": 0.1, "rate": 0.1, "tasks": ["intent"]},
            {"method": "case", "share": 0.1, "rate": 0.1, "slices": {"language": ["en"]}},
            {"method": "deletion", "share": 0.1, "rate": 0.1},
        ],
        "mix": [{"slice": "language", "shares": {"en": 0.5, "zh": 0.5}}],
    },
    "train": {"tasks": ["intent"], "sft": {"task_weights": {"reply": 2.0}}},
    "predict": {
        "suites": [{"task": "intent", "answer": "choice"}],
        "robustness": {"tasks": ["intent"], "paraphrases": "phrasing"},
        "few_shot": [{"task": "intent", "shots": 4}],
    },
    "judge": {"suites": ["reply"]},
    "human": {"suites": ["reply"], "strata": ["language"]},
    "evaluate": {
        "metrics": {"intent": ["accuracy"]},
        "slices": ["phrasing", "difficulty"],
        "summary_slices": ["phrasing"],
        "json_schemas": {"slots": {"type": "object"}},
        "gates": [
            {"suite": "intent", "metric": "accuracy", "variant": "merged",
             "direction": "at_least", "threshold": 0.9},
        ],
    },
}  # fmt: skip
"""Settings that name tasks and slices of the sample, in every place that can."""


def merge(values: Any, changes: dict[str, Any]) -> None:
    for name, change in changes.items():
        if isinstance(change, dict) and isinstance(values.get(name), dict):
            merge(values[name], change)
        else:
            values[name] = change


def edit(entry: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the sample's params.yaml with changes, edited for a source."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    merge(values, changes)
    stream = StringIO()
    yaml.dump(values, stream)
    result: dict[str, Any] = yaml.load(edit_params(stream.getvalue(), entry, "sft"))
    return result


def test_no_name_of_the_sample_is_left() -> None:
    values = edit({"path": "own.csv", "format": "text", "task": "own"}, USED)
    sections, mistakes = validate_sections(values)
    assert [*mistakes, *all_checks.find_mistakes(sections)] == []
    for section in ("prepare", "augment", "train", "predict", "judge", "human", "evaluate"):
        for name in ("intent", "reply", "slots", "phrasing", "language", "difficulty", "CC0"):
            assert f"'{name}'" not in str(values[section]), (section, name)
    assert values["augment"]["methods"] == [USED["augment"]["methods"][2]]
    assert values["report"]["title"] == "Model for own"


def test_names_that_the_new_source_has_stay() -> None:
    entry = {"path": "own.csv", "format": "classification", "task": "intent"}
    values = edit({**entry, "slices": ["phrasing"]}, USED)
    assert values["predict"] == {**values["predict"], **USED["predict"]}
    assert values["evaluate"]["slices"] == ["phrasing"]
    assert values["train"]["tasks"] == ["intent"]
    assert "task_weights" not in values["train"]["sft"]
    assert len(values["augment"]["methods"]) == 2


def test_a_few_shot_suite_with_examples_of_another_task_is_removed() -> None:
    entry = {"path": "own.csv", "format": "classification", "task": "intent"}
    few_shot = [{"task": "intent", "shots": 2, "examples": name} for name in ("reply", "intent")]
    assert edit(entry, {"predict": {"few_shot": few_shot}})["predict"]["few_shot"] == few_shot[1:]
