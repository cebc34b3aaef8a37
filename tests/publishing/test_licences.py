"""Licences of bases as their publishers state them in cards and files."""

from pathlib import Path

import pytest

from lockstep.hub.base_params import BaseParams
from lockstep.publishing.licences import HUB_LICENCES, list_data_licences, read_base_licence

PATH = BaseParams(source="path", path="/models/base")


@pytest.mark.parametrize(
    ("card", "names", "more"),
    [
        ("---\nlicense: apache-2.0\n---\n# Qwen\n", ["apache-2.0"], {}),
        ("---\nlicense: MIT\nextra_gated_prompt: >-\n  a: b\n---\n", ["mit"], {}),
        (
            "---\nlicense: other\nlicense_name: qwen-research\nlicense_link: LICENSE\n---\n",
            ["other"],
            {"license_name": "qwen-research", "license_link": "LICENSE"},
        ),
        ("---\nlicense:\n- mit\n- cc-by-4.0\n---\n", ["mit", "cc-by-4.0"], {}),
        ("---\nlicense: my own terms\n---\n", ["unknown"], {}),
        ("---\ntags: [a\n---\n", ["unknown"], {}),
        ("# No metadata\n", ["unknown"], {}),
        (None, ["unknown"], {}),
    ],
)
def test_the_card_of_the_base_states_its_licence(
    card: str | None, names: list[str], more: dict[str, str], tmp_path: Path
) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    licence = read_base_licence(tmp_path, PATH)
    assert (licence.names, licence.more) == (names, more)
    assert set(names) <= HUB_LICENCES


def test_a_licence_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.txt").write_text("terms")
    licence = read_base_licence(tmp_path, PATH)
    assert (licence.names, licence.source) == (["unknown"], "see LICENSE.txt beside this card")


def test_the_starter_is_in_the_public_domain(tmp_path: Path) -> None:
    assert read_base_licence(tmp_path, BaseParams(source="starter")).names == ["cc0-1.0"]


def test_sources_without_a_licence_say_so() -> None:
    card = {"licences": {"b.csv": "", "a.csv": "CC BY 4.0"}}
    assert [*list_data_licences(card)] == [("a.csv", "CC BY 4.0"), ("b.csv", "not stated")]
