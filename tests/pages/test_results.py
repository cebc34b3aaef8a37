from pathlib import Path

import pytest

from stages.errors import Refusal
from stages.pages import results


def test_choices_lead_the_report() -> None:
    variant = {"a": {"overall": {}}, "perplexity": 2.0, "z": {"overall": {}, "confusion": {}}}
    assert list(results.suites(variant)) == ["z", "a"]


def test_numbers_deep_in_a_file_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"a": [1, {"b": -Infinity}]}')
    with pytest.raises(Refusal, match=r"facts\.json: a\.1\.b is -inf"):
        results.read_json(path)
