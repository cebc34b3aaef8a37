"""Invalid judge params are refused, and every key except `by` has a default."""

from typing import Any

import pytest

from lockstep.judging.judge_params import JudgeParams
from tests.judging.judge_settings import ENDPOINT, make_params

PAIR = {"variant": "merged", "against": "base"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"compare": [{"variant": "base", "against": "base"}]}, "base is compared with itself"),
        ({"compare": [PAIR, {"variant": "base", "against": "merged"}]}, "compare: an entry is rep"),
        ({"compare": []}, "compare and score are both empty"),
        ({"dimensions": ["fluency", "fluency"]}, "dimensions: an entry is repeated; name each"),
        ({"suites": ["reply", "reply"]}, "suites: an entry is repeated; name each once"),
        ({"by": "model"}, "model.folder: empty"),
        ({"endpoint": {**ENDPOINT, "model": ""}}, "endpoint.model: empty"),
        ({"endpoint": {**ENDPOINT, "options": {"stream": True}}}, "options: stream may not be set"),
        ({"endpoint": {**ENDPOINT, "url": "localhost"}}, "url"),
    ],
)
def test_invalid_params_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_params(**changes)


def test_by_is_the_only_key_without_a_default() -> None:
    required = [name for name, key in JudgeParams.model_fields.items() if key.is_required()]
    assert required == ["by"]
    settings = JudgeParams(by="none")
    assert settings.suites == []
    assert settings.variants == ["base", "merged", "quantized"]
    assert [pair.name for pair in settings.compare] == [
        "merged_against_base",
        "quantized_against_merged",
    ]
