"""Reading params.yaml: YAML 1.2, every mistake at once, one line each."""

from pathlib import Path

import pytest

from lockstep import params
from lockstep.errors import UserError
from lockstep.params import Fraction, PositiveFloat, PositiveInt, Section


class Train(Section):
    epochs: PositiveInt
    """Passes over the training records."""
    learning_rate: PositiveFloat
    dropout: Fraction
    schedule: str


class Parameters(Section):
    train: Train


VALID_PARAMS = "train: {epochs: 3, learning_rate: 2e-4, dropout: 0.1, schedule: no}\n"


def write_params(folder: Path, text: str | bytes) -> Path:
    file = folder / "params.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def read_mistakes(file: Path) -> list[str]:
    with pytest.raises(UserError) as error:
        params.read(Parameters, file)
    return [line.removeprefix(f"{file}") for line in error.value.message.splitlines()]


def test_numbers_and_words_are_parsed_as_yaml_1_2(tmp_path: Path) -> None:
    train = params.read(Parameters, write_params(tmp_path, VALID_PARAMS)).train
    assert train.learning_rate == 2e-4 and isinstance(train.learning_rate, float)
    assert train.schedule == "no"
    assert params.parse(write_params(tmp_path, "a: [on, yes, 010, true]\n"))["a"] == [
        "on",
        "yes",
        10,
        True,
    ]


def test_sections_of_other_stages_are_not_read(tmp_path: Path) -> None:
    assert (
        params.read(Parameters, write_params(tmp_path, VALID_PARAMS + "other: 1\n")).train.epochs
        == 3
    )


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("epochs: 3", "epoch: 3, epochs: 3", "train.epoch: unknown key; did you mean epochs?"),
        (
            "epochs: 3", "xyz: 3, epochs: 3",
            "train.xyz: unknown key; known keys: dropout, epochs, learning_rate, schedule",
        ),
        ("epochs: 3, ", "", "train.epochs: missing; add it"),
        ("3", "3.5", "train.epochs: input should be a valid integer, not 3.5"),
        ("3", '"3"', "train.epochs: input should be a valid integer, not '3'; remove the quotes"),
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
    assert read_mistakes(write_params(tmp_path, VALID_PARAMS.replace(wrong, right, 1))) == [
        f": {line}"
    ]


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    lines = read_mistakes(
        write_params(tmp_path, "train: {epochs: -1, learning_rte: 2e-4, schedule: x}\n")
    )
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
        ("other: 1\n", ": train: missing; add it"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str | bytes, line: str) -> None:
    (mistake,) = read_mistakes(write_params(tmp_path, text))
    assert mistake.startswith(line)


def test_a_missing_file_names_the_folder_to_run_from(tmp_path: Path) -> None:
    (line,) = read_mistakes(tmp_path / "params.yaml")
    assert line == ": not found; run from the root of the repository"


def test_a_folder_instead_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    (line,) = read_mistakes(tmp_path / "params.yaml")
    assert line == ": is a folder; restore the file (git checkout)"


def test_the_string_below_a_field_is_its_documentation() -> None:
    fields = Train.model_fields
    assert fields["epochs"].description == "Passes over the training records."
    assert fields["schedule"].description is None
