"""The settings of a sweep are read from the command line and reach DVC as they were written."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import to_hydra_overrides
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import UserError
from lockstep.sweeps import grid

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(1e-9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def list_settings(*axes: grid.Axis) -> dict[str, dict[str, Any]]:
    return {setting.name: setting.changes for setting in grid.combine_axes(axes)}


def test_a_grid_has_an_experiment_for_each_combination_with_a_readable_name() -> None:
    axes = grid.parse_grid("train.learning_rate=1e-4,2e-4  train.adapter.r=8,16")
    assert list_settings(*axes) == {
        "learning_rate=1e-4,r=8": {"train.learning_rate": 1e-4, "train.adapter.r": 8},
        "learning_rate=1e-4,r=16": {"train.learning_rate": 1e-4, "train.adapter.r": 16},
        "learning_rate=2e-4,r=8": {"train.learning_rate": 2e-4, "train.adapter.r": 8},
        "learning_rate=2e-4,r=16": {"train.learning_rate": 2e-4, "train.adapter.r": 16},
    }


def test_lists_and_texts_are_one_value_and_equal_ends_of_keys_stay_apart() -> None:
    axes = grid.parse_grid("train.x=[q_proj, v_proj],'a, b' merge.x=no,null,true")
    assert [changes["train.x"] for _, changes in axes[0]] == [["q_proj", "v_proj"], "a, b"]
    assert [changes["merge.x"] for _, changes in axes[1]] == ["no", None, True]
    assert [name for name, _ in axes[1]] == ["merge.x=no", "merge.x=null", "merge.x=true"]


def test_all_mistakes_of_a_grid_are_reported_at_once() -> None:
    with pytest.raises(UserError) as error:
        grid.parse_grid("seed train.epochs= =3 a=[1 b=1 b=2")
    assert [line.split(": ")[1] for line in error.value.message.splitlines()] == [
        "'seed'", "'train.epochs='", "'=3'", "a",
    ]  # fmt: skip
    with pytest.raises(UserError, match="b: stands twice"):
        grid.parse_grid("b=1 b=2")
    with pytest.raises(UserError, match="is empty"):
        grid.parse_grid(" ")
    with pytest.raises(UserError, match="'2024-13-45' is not YAML"):
        grid.parse_grid("seed=2024-13-45")
    with pytest.raises(UserError, match=r"FRACTIONS: '0.1 seed=2'"):
        grid.build_fractions("0.1 seed=2")


@given(VALUES)
def test_hydra_reads_the_value_that_was_written(value: object) -> None:
    """DVC parses overrides by Hydra's grammar, in which a comma outside of quotes is a sweep."""
    (override,) = to_hydra_overrides([grid.format_override("a.b", value)])
    assert override.is_force_add() and not override.is_sweep_override()
    assert override.value() == value or str(value) == str(override.value())


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_git_accepts_every_name(parts: list[str]) -> None:
    name = grid.make_name(["seed=1", *parts])
    assert ".." not in name and "@{" not in name and not name.endswith((".", ".lock"))
    assert not set(name) & set(" ~^:?*[\\/\n") and name.isascii() and len(name) <= grid.MAX_NAME


def test_folds_fractions_and_seeds_set_their_parameters() -> None:
    assert list_settings(grid.build_folds(2)) == {
        "fold=0of2": {"prepare.split.folds": 2, "prepare.split.fold": 0},
        "fold=1of2": {"prepare.split.folds": 2, "prepare.split.fold": 1},
    }
    shares = list_settings(grid.build_fractions("0.1,1"), grid.build_seeds(7, 2))
    assert shares["train_fraction=1,seed=8"] == {"prepare.split.train_fraction": 1.0, "seed": 8}
    assert type(shares["train_fraction=1,seed=8"]["prepare.split.train_fraction"]) is float
    assert len(shares) == 4


def test_a_base_is_the_starter_a_folder_or_a_commit_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/small").mkdir(parents=True)
    commit = "0123456789" * 4
    assert list_settings(grid.build_bases(f"starter models/small/ Qwen/Qwen3-0.6B@{commit}")) == {
        "base=starter": {"base.source": "starter"},
        "base=small": {"base.source": "path", "base.path": str(tmp_path / "models/small")},
        "base=Qwen3-0.6B": {
            "base.source": "hub", "base.id": "Qwen/Qwen3-0.6B", "base.revision": commit,
        },
    }  # fmt: skip
    with pytest.raises(UserError) as error:
        grid.build_bases("models/large Qwen/Qwen3-0.6B@main")
    assert len(error.value.message.splitlines()) == 2
    assert "owner/name@revision" in error.value.message


def test_equal_names_get_numbers() -> None:
    assert list(list_settings(*grid.parse_grid("a=x/y,x-y"))) == ["a=x-y_1", "a=x-y_2"]


def test_changes_add_sections_but_do_not_pass_through_values() -> None:
    values = {"a": {"b": 1}, "c": 2}
    assert grid.apply_changes(values, {"a.d.e": 3, "c": 4}) == {
        "a": {"b": 1, "d": {"e": 3}}, "c": 4,
    }  # fmt: skip
    assert values == {"a": {"b": 1}, "c": 2}, "the values themselves stay as they are"
    with pytest.raises(ValueError, match=r"^a.b.c: a.b is no section$"):
        grid.apply_changes(values, {"a.b.c": 3})
