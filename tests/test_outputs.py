"""Outputs are complete or absent, JSON has stable bytes, and hashes cover names and bytes."""

from pathlib import Path

import pytest

from lockstep import outputs
from lockstep.errors import UserError


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_folder_replaces_the_old_one_when_the_block_ends(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with outputs.atomic_folder(tmp_path / "out") as partial:
        (partial / "deep").mkdir()
        (partial / "deep" / "new").write_text("new")
        assert list_files(tmp_path / "out") == ["old"]
    assert list_files(tmp_path) == ["out", "out/deep", "out/deep/new"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_old_folder_stays_if_the_block_fails(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(error), outputs.atomic_folder(tmp_path / "out") as partial:
        (partial / "half").write_text("half")
        raise error
    assert list_files(tmp_path) == ["out", "out/old"]


def test_a_folder_starts_empty_after_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "stale").write_text("stale")
    with outputs.atomic_folder(tmp_path / "out") as partial:
        assert list_files(partial) == []
    assert list_files(tmp_path) == ["out"]


def test_the_parents_of_a_folder_are_created(tmp_path: Path) -> None:
    with outputs.atomic_folder(tmp_path / "a" / "b"):
        pass
    assert list_files(tmp_path) == ["a", "a/b"]


def test_a_folder_replaces_a_link_and_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kept").write_text("kept")
    (tmp_path / "out").symlink_to(tmp_path / "cache")
    with outputs.atomic_folder(tmp_path / "out") as partial:
        (partial / "new").write_text("new")
    assert list_files(tmp_path) == ["cache", "cache/kept", "out", "out/new"]


def test_a_file_replaces_the_old_one_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.json"
    for text in ("first", "second"):
        with outputs.atomic_file(out) as partial:
            partial.write_text(text)
        assert out.read_text() == text
    assert list_files(tmp_path) == ["deep", "deep/out.json"]


def test_the_old_file_stays_if_the_block_fails(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(ValueError, match="x"), outputs.atomic_file(tmp_path / "out") as partial:
        partial.write_text("half")
        raise ValueError("x")
    assert list_files(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "old"


def test_there_is_no_file_if_the_first_run_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), outputs.atomic_file(tmp_path / "out") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert list_files(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_json_never_contains_nan(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        outputs.write_json(tmp_path / "a.json", value)
    assert list_files(tmp_path) == []


def test_json_bytes_depend_only_on_the_value(tmp_path: Path) -> None:
    outputs.write_json(tmp_path / "a.json", {"b": [1, 0.1], "a": "价"})
    outputs.write_json(tmp_path / "b.json", {"a": "价", "b": [1, 0.1]})
    expected = '{\n  "a": "价",\n  "b": [\n    1,\n    0.1\n  ]\n}\n'
    assert (tmp_path / "a.json").read_bytes() == expected.encode()
    assert (tmp_path / "b.json").read_bytes() == expected.encode()


def test_a_link_shares_the_bytes_even_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("weights")
    (tmp_path / "symbolic").symlink_to(tmp_path / "real")
    outputs.link_or_copy(tmp_path / "symbolic", tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "target").samefile(tmp_path / "real")


def test_the_hash_of_a_folder_depends_only_on_names_and_bytes(tmp_path: Path) -> None:
    def hash_files(parent: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            file = tmp_path / parent / "out" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return outputs.hash_path(tmp_path / parent / "out")

    first = hash_files("1", {"a": "x", "b/c": "y"})
    assert hash_files("2", {"b/c": "y", "a": "x"}) == first, (
        "the same names and bytes in another folder"
    )
    assert hash_files("3", {"a": "x", "b/d": "y"}) != first, "a name differs"
    assert hash_files("4", {"a": "x", "b/c": "z"}) != first, "a byte differs"
    assert hash_files("5", {"a": "y", "b/c": "x"}) != first, "the bytes of two files are exchanged"


def test_the_hash_of_a_file_depends_on_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    first = outputs.hash_path(tmp_path / "a")
    (tmp_path / "a").write_text("y")
    assert outputs.hash_path(tmp_path / "a") != first


def test_files_links_and_folders_are_removed_but_not_the_target_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    outputs.remove(tmp_path / "link")
    outputs.remove(tmp_path / "absent")
    assert list_files(tmp_path) == ["kept", "kept/file"]
    outputs.remove(tmp_path / "kept")
    assert list_files(tmp_path) == []


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(UserError, match=r"labels\.json: not JSON \(Expecting property name"):
        outputs.read_json(tmp_path / "labels.json")
