"""A key of an older version is refused with its new place."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lockstep import params
from lockstep.cli import moved_keys, params_reference
from lockstep.cli.params_check import check_parameters
from lockstep.errors import UserError
from tests.conftest import REPOSITORY


def test_an_old_section_is_named_with_its_new_place(tmp_path: Path) -> None:
    values = params.parse(REPOSITORY / "params.yaml")
    values["people"] = values.pop("human")
    file = tmp_path / "params.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    with pytest.raises(UserError) as error:
        check_parameters(file)
    assert error.value.message.splitlines() == [
        f"{file}: people: moved to human",
        f"{file}: human: missing; add it",
    ]


def test_a_removed_key_is_named_with_the_reason() -> None:
    values = {"base": {"source": "starter", "allowed_config_keys": []}}
    assert moved_keys.remove_moved_keys(values) == [
        "base.allowed_config_keys: removed, since unknown keys of config.json are kept with a "
        "note; leave it out"
    ]
    assert values == {"base": {"source": "starter"}}


def test_keys_inside_lists_and_mappings_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_keys, "MOVED_KEYS", {"a.*.b": "c.b", "d.e": "f"})
    values = {"a": [{"b": 1, "x": 2}, {"x": 3}], "d": {"e": 4, "y": 5}}
    assert moved_keys.remove_moved_keys(values) == ["a.*.b: moved to c.b", "d.e: moved to f"]
    assert values == {"a": [{"x": 2}, {"x": 3}], "d": {"y": 5}}


def test_values_of_another_shape_are_left_to_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_keys, "MOVED_KEYS", {"a.*.b": "c.b", "d.e": "f"})
    values = {"a": 1, "d": None}
    assert moved_keys.remove_moved_keys(values) == []
    assert values == {"a": 1, "d": None}


def test_the_changelog_has_the_same_table() -> None:
    rows = [f"| `{old}` | `{new}` |" for old, new in moved_keys.MOVED_KEYS.items()]
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    table = text.partition("| old key | new key |\n|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == rows


def test_new_places_are_keys_of_params_yaml() -> None:
    known = {key.path for key in params_reference.list_keys()}
    for new in moved_keys.MOVED_KEYS.values():
        assert new.removesuffix(".TASK") in known, new
