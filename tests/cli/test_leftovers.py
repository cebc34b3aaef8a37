"""Outputs of older versions are named."""

from pathlib import Path

from lockstep.cli.leftovers import describe_leftovers


def test_each_leftover_is_one_line_with_its_remedy(tmp_path: Path) -> None:
    assert describe_leftovers(tmp_path) == []
    (tmp_path / "data/evaluated").mkdir(parents=True)
    assert describe_leftovers(tmp_path) == [
        "data/evaluated: leftover of an older version; "
        "remove it; predictions are in data/predicted now"
    ]


def test_the_repository_has_no_leftovers() -> None:
    assert describe_leftovers() == []
