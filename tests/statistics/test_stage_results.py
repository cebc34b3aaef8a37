from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.reporting import stage_results


def test_choices_lead_the_report() -> None:
    variant = {"a": {"overall": {}}, "perplexity": 2.0, "z": {"overall": {}, "confusion": {}}}
    assert list(stage_results.suites(variant)) == ["z", "a"]


def test_numbers_deep_in_a_file_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"a": [1, {"b": -Infinity}]}')
    with pytest.raises(UserError, match=r"facts\.json: a\.1\.b is -inf"):
        stage_results.read_json(path)
