"""Every mistake in params.yaml is reported in one run, before a stage does work."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep import params
from lockstep.cli.params_check import check_libraries, check_parameters
from lockstep.errors import UserError
from tests.conftest import REPOSITORY, change_params

PARAMS_FILE = REPOSITORY / "params.yaml"


@pytest.fixture
def find_mistakes(tmp_path: Path) -> Callable[..., list[str]]:
    """Return the lines about the real params.yaml with changes by dotted path."""

    def run(changes: dict[str, Any], function: Callable[[Path], None] = check_parameters) -> Any:
        file = tmp_path / "params.yaml"
        with file.open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(
                change_params(params.parse(PARAMS_FILE), changes), stream
            )
        with pytest.raises(UserError) as error:
            function(file)
        return [line.removeprefix(f"{file}: ") for line in error.value.message.splitlines()]

    return run


def test_the_real_params_are_valid() -> None:
    check_parameters(PARAMS_FILE)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("train.warmup", -1.0, "train.warmup: input should be greater"),
        ("starter", {"layers": 3}, "starter: unknown key"),
        ("compute.threads", 99999, "compute.threads: input should be less than or"),
        ("train.strategy", "loro", "train.strategy: input should be 'full', 'freeze', "),
        ("train.epoch", 4.0, "train.epoch: unknown key; did you mean epochs?"),
        ("train.learning_rate", "2e-4", "train.learning_rate: input should be a valid number, not"
         " '2e-4'; remove the quotes"),
        ("prepare.sources.4.format", "alpca", "prepare.sources.4.format: input should be 'alpaca'"),
        ("prepare.sources.4.tsk", "slots", "prepare.sources.4.tsk: unknown key; did you mean task"),
        ("prepare.sources.0.path", "../a.csv", "prepare.sources.0.path: must be relative to"),
        ("prepare.sources.0.path", "intent.docx", "prepare.sources.0.path: must end in .jsonl"),
        ("augment.methods.0.rat", 0.1, "augment.methods.0.rat: unknown key; did you mean rate?"),
        ("augment.methods.0.rate", 2.0, "augment.methods.0.rate: input should be less than or"),
        ("evaluate.metrics", {"intent": "accuracy"}, "evaluate.metrics.intent: input should be a "),
        ("prepare.sources",
         [{"path": path, "format": "text"} for path in ("intent.csv", "./intent.csv")],
         "prepare.sources: intent.csv is listed twice; list each file once"),
        ("prepare.sources.0.encoding", "utf-9", "prepare.sources.0.encoding: must be an encoding"),
        ("prepare.sources.0.columns", {"lable": "intent"},
         "prepare.sources.0: columns: lable is no field"),
        ("predict.suites", [{"task": "reply", "answer": "text", "anser": "json"}],
         "predict.suites.0.anser: unknown key; did you mean answer?"),
        ("runtime.device", "gpu", "runtime.device: input should be 'auto', 'cpu' or"),
        ("sed", 7, "sed: unknown key; did you mean seed?"),
    ],
)  # fmt: skip
def test_a_mistake_in_any_section_is_one_line(
    find_mistakes: Callable[..., list[str]], key: str, value: Any, line: str
) -> None:
    (mistake,) = find_mistakes({key: value})
    assert mistake.startswith(line)


def test_mistakes_of_all_sections_are_reported_in_one_run(
    find_mistakes: Callable[..., list[str]],
) -> None:
    """A schema error in one section does not hide mistakes in other sections."""
    lines = find_mistakes(
        {
            "merge.tolerance": -1,
            "quantize.methd": "nf4",
            "augment.methods.0.tasks": ["intend"],
            "evaluate.slices": ["region"],
        }
    )
    assert [line.split(":")[0] for line in lines] == [
        "merge.tolerance",
        "quantize.methd",
        "augment.methods",
        "evaluate.slices",
    ]


def test_a_missing_section_hides_nothing_else(tmp_path: Path) -> None:
    values = change_params(params.parse(PARAMS_FILE), {"train.tasks": ["intend"]})
    del values["judge"]
    file = tmp_path / "params.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    with pytest.raises(UserError) as error:
        check_parameters(file)
    assert [line.removeprefix(f"{file}: ")[:30] for line in error.value.message.splitlines()] == [
        "judge: missing; add it",
        "train.tasks: no source has tas",
    ]


def test_a_section_with_a_default_may_be_absent_beside_a_mistake(tmp_path: Path) -> None:
    values = change_params(params.parse(PARAMS_FILE), {"merge.tolerance": -1})
    del values["serving"]
    file = tmp_path / "params.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    with pytest.raises(UserError) as error:
        check_parameters(file)
    (line,) = error.value.message.splitlines()
    assert line.startswith(f"{file}: merge.tolerance: ")


def test_libraries_refuse_options_all_at_once(find_mistakes: Callable[..., list[str]]) -> None:
    lines = find_mistakes(
        {"train.options": {"betta": 0.1, "label_smoothing_facto": 0.1}}, check_libraries
    )
    assert [line.partition(";")[0] for line in lines] == [
        "train.options: SFTConfig has no option betta",
        "train.options: SFTConfig has no option label_smoothing_facto",
    ]


def test_mistakes_are_reported_before_torch_is_imported(tmp_path: Path) -> None:
    values = change_params(params.parse(PARAMS_FILE), {"merge.tolerance": -1.0})
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    code = (
        "import sys, click\n"
        "from lockstep.cli import runner\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'torch':\n"
        "            sys.exit('torch is imported')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "runner.run(click.command()(lambda: None), first=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip
    line, end = result.stderr.splitlines()
    assert end == "torch is imported", "to check the options of libraries too"
    assert line.startswith("error: params.yaml: merge.tolerance: input should be greater than")
