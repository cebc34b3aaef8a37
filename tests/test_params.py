"""params.yaml: YAML 1.2, every mistake told at once, each in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from lockstep import params
from lockstep.cli import runner
from lockstep.errors import UserError
from lockstep.params import Fraction, PositiveFloat, PositiveInt, Section

ROOT = Path(__file__).parents[1]
REAL = ROOT / "params.yaml"


class Train(Section):
    epochs: PositiveInt
    learning_rate: PositiveFloat
    dropout: Fraction
    schedule: str


class Parameters(Section):
    train: Train


GOOD = "train: {epochs: 3, learning_rate: 2e-4, dropout: 0.1, schedule: no}\n"


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "params.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refused(file: Path) -> list[str]:
    with pytest.raises(UserError) as refusal:
        params.read(Parameters, file)
    return [line.removeprefix(f"{file}") for line in refusal.value.message.splitlines()]


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    train = params.read(Parameters, written(tmp_path, GOOD)).train
    assert train.learning_rate == 2e-4 and isinstance(train.learning_rate, float)
    assert train.schedule == "no"
    assert params.parse(written(tmp_path, "a: [on, yes, 010, true]\n"))["a"] == [
        "on",
        "yes",
        10,
        True,
    ]


def test_sections_of_other_stages_are_not_read(tmp_path: Path) -> None:
    assert params.read(Parameters, written(tmp_path, GOOD + "other: 1\n")).train.epochs == 3


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("epochs: 3", "epoch: 3, epochs: 3", "train.epoch: unknown key; did you mean epochs?"),
        (
            "epochs: 3", "xyz: 3, epochs: 3",
            "train.xyz: unknown key; known here: dropout, epochs, learning_rate, schedule",
        ),
        ("epochs: 3, ", "", "train.epochs: missing; add it (params.yaml shows every value)"),
        ("3", "3.5", "train.epochs: input should be a valid integer, not 3.5"),
        ("3", '"3"', "train.epochs: input should be a valid integer, not '3'"),
        ("3", "true", "train.epochs: input should be a valid integer, not True"),
        ("3", "0", "train.epochs: input should be greater than 0, not 0"),
        ("0.1", "1.5", "train.dropout: input should be less than or equal to 1, not 1.5"),
        ("2e-4", ".nan", "train.learning_rate: input should be a finite number, not nan"),
        ("2e-4", ".inf", "train.learning_rate: input should be a finite number, not inf"),
        ("no", "7", "train.schedule: input should be a valid string, not 7"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_with_its_path_and_value(
    tmp_path: Path, wrong: str, right: str, line: str
) -> None:
    assert refused(written(tmp_path, GOOD.replace(wrong, right, 1))) == [f": {line}"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    lines = refused(written(tmp_path, "train: {epochs: -1, learning_rte: 2e-4, schedule: x}\n"))
    assert sorted(line.split(":")[1] for line in lines) == [
        " train.dropout", " train.epochs", " train.learning_rate", " train.learning_rte",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"train: caf\xe9\n", ": not UTF-8 at byte 10; save it as UTF-8"),
        ("train: 1\ntrain: 2\n", ':2: not YAML: found duplicate key "train" with value "2"'),
        ("train:\n  - [1\n", ":3: not YAML: expected ',' or ']'"),
        ("train: \x01\n", ": not YAML: unacceptable character #x0001"),
        ("train: *a\n", ":1: not YAML: found undefined alias 'a'"),
        ("train: 2024-13-45\n", ": not YAML: month must be in 1..12"),
        ("train: !!int x\n", ": not YAML: invalid literal for int()"),
        ("train: !!python/object:os.system x\n", ":1: not YAML: could not determine a constructor"),
        ("- train\n", ": must be a mapping of sections"),
        ("", ": must be a mapping of sections"),
        ("other: 1\n", ": train: missing; add it (params.yaml shows every value)"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str | bytes, line: str) -> None:
    (told,) = refused(written(tmp_path, text))
    assert told.startswith(line)


def test_a_missing_file_names_the_folder_to_run_from(tmp_path: Path) -> None:
    (told,) = refused(tmp_path / "params.yaml")
    assert told == ": not found; run from the root of the repository"


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    (told,) = refused(tmp_path / "params.yaml")
    assert told == ": a folder; put the file back (git checkout)"


def test_the_real_params_are_valid() -> None:
    runner.check_parameters(REAL)


@pytest.mark.parametrize(
    ("real", "mistyped", "line"),
    [
        ("warmup: 0.05", "warmup: -1.0", "train.warmup: input should be greater"),
        ("  heads: 2\n", "  heads: 3\n", "starter: hidden_size 128 must be an even multiple"),
        ("threads: 2 ", "threads: 99999 ", "compute.threads: input should be less than or"),
        ("strategy: lora", "strategy: loro", "train.strategy: input should be 'full', 'freeze', "),
        ("task: slots\n", "task: 7\n", "prepare.sources.3.task: input should be a valid string"),
        ("\n  epochs: ", "\n  epoch: ", "train.epoch: unknown key; did you mean epochs?"),
        ("  freeze: {layers: 1}", "  freeze: {layer: 1}", "strategies.freeze.layer: unknown key"),
        ("\nseed:", "\nsed:", "sed: unknown key; did you mean seed?"),
        ("      task: slots", "      tsk: slots", "prepare.sources.3.tsk: unknown key; did you"),
        ("{task: reply, answer", "{task: reply, anser", "evaluate.suites.2.anser: unknown key"),
        ("  device: auto", "  device: gpu", "runtime.device: input should be 'auto', 'cpu' or"),
        ("path: intent.csv", "path: ../a.csv", "prepare.sources.0.path: must be relative to"),
        ("path: intent.csv", "path: intent.xlsx", "prepare.sources.0.path: must end in .jsonl"),
        (
            "path: slots.jsonl", "path: ./intent.csv",
            "prepare.sources: intent.csv is listed twice; list each file once",
        ),
        ("encoding: utf-8", "encoding: utf-9", "prepare.sources.0.encoding: must be an encoding"),
        ("{label: intent}", "{lable: intent}", "prepare.sources.0: columns: lable is no field"),
    ],
)  # fmt: skip
def test_a_mistyped_parameter_of_any_stage_is_named(
    tmp_path: Path, real: str, mistyped: str, line: str
) -> None:
    text = REAL.read_text(encoding="utf-8")
    assert real in text
    with pytest.raises(UserError) as refusal:
        runner.check_parameters(written(tmp_path, text.replace(real, mistyped, 1)))
    lines = [told.split("params.yaml: ", 1)[1] for told in refusal.value.message.splitlines()]
    assert any(told.startswith(line) for told in lines), lines


def test_a_mistyped_parameter_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    text = REAL.read_text(encoding="utf-8").replace("  tolerance: 1e-3", "  tolerance: -1", 1)
    written(tmp_path, text)
    code = (
        "import sys, click\n"
        "from lockstep.cli import runner\n"
        "try:\n"
        "    runner.run(click.command()(lambda: None))\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: params.yaml: merge.tolerance: input should be greater than")
